"""Mutated requests over raw sockets: what a gateway must bear from strangers."""
