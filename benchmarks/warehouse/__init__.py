"""What the warehouse does with ten million payments: `python -m benchmarks.warehouse`."""
