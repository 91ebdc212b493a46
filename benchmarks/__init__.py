"""The benchmarks of `make bench`: what they measure, and how."""
