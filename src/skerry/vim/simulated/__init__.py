"""The world of the `simulated` driver: what its infrastructure has, does and was told to do wrong."""
