"""`python -m cli` is `lync-dr`."""

from cli.main import main

main()
