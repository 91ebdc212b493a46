"""Backtests: what a rule would have met, asked of the warehouse before it is saved."""
