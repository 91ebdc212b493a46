"""The administrators' dashboard: live figures from the warehouse in a browser. It reads and never writes."""
