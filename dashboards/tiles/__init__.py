"""The tiles, one file each: the query to the warehouse, the figures from its rows, and how they are shown."""
