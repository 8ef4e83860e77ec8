"""The elements, each against what Click documents."""
