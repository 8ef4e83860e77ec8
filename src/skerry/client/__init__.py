"""Typed client of a node's API; used by the CLI, the tests and peers."""
