"""What administrators look at: live figures from the warehouse, in a browser. Reads, never writes."""
