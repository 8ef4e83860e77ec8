"""The information model: what things are. Frozen msgspec structs, no I/O."""
