"""Open vSwitch as an engine of the data plane: its protocols, its processes, and how rules become its tables."""
