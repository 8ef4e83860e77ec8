"""Micro network functions."""
