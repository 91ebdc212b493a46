"""All topics into one DuckDB file, served in SQL: the warehouse."""
