"""Calls of the Linux kernel."""
