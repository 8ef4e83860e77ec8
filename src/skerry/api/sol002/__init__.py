"""SOL002: what a VNF or its element manager has beyond SOL003, whose resources are otherwise the same."""
