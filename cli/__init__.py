"""The other way in: the `lync-dr` command, and the place where the rooms are put together."""
