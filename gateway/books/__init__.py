"""The books: one file per noun, its table above the SQL functions on it; the connection comes first."""
