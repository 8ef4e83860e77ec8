"""Virtualised infrastructure: the driver contract and the drivers that fit it."""
