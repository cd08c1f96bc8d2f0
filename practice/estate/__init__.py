"""Starts the sites and DNS servers as processes of their own and writes down how they are reached."""
