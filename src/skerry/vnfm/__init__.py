"""The VNF manager: life cycle of VNF instances, one file for each operation."""
