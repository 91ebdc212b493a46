"""Processors: connectors that move money. One contract, one file per vendor."""
