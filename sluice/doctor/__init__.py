"""`sluice doctor`: whether this machine and its settings are fit to run the stack."""
