"""`sluice backup` and `sluice restore`: copies of the stores, in parts that are kept apart."""
