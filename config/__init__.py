"""Values, and the one module that loads them.

``load`` reads files and the environment, and nothing else in the product does. Roots call it and hand the values in.
"""
