"""Runs operations durably: plan, steps, journal, retry, undo, recovery. Knows no ETSI beyond the names of states."""
