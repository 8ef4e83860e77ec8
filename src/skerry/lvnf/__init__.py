"""Micro network functions (LVNFs): Click configurations that run as bytecode in the kernel or in a small process."""
