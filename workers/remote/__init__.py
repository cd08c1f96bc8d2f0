"""One door to the servers: the runner, the wire it travels over, and the questions to DNS."""
