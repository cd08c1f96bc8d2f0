"""Taking each check away in a copy, to see which test notices. `make bite`; the table is part of docs/approval.md."""
