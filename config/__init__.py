"""Values, and the one module that loads them."""
