"""How fast it is: `python -m bench [name …]`. Prints figures; asserts nothing, so a busy machine fails no test."""
