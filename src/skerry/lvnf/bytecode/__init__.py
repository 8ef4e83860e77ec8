"""Micro network functions as programs of the kernel, written as bytecode by Python. Pure: nothing here calls the kernel."""
