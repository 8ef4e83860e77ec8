"""Agents on other machines: the protocol from both ends, and real processes."""
