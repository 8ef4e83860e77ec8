"""Benchmarks: figures measured side by side with what they are compared to, in one run, on real parts."""
