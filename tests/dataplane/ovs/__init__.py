"""Open vSwitch as an engine: its protocols, its processes, and real frames through it."""
