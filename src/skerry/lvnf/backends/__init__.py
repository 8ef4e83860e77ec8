"""Ways to run a graph: bytecode in the kernel, a small process of our own, the Click of others."""
