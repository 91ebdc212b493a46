"""The tiles, one file each: the question to the warehouse, what its rows say, and the picture of it."""
