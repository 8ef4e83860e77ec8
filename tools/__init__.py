"""Tools for developers: the bootstrap, generated pages of the documentation, drawings. None is part of the program."""
