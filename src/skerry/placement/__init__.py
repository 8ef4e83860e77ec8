"""Placement: pure functions from demands and sites to a choice, with the reasons."""
