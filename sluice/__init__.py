"""The `sluice` command and the stack on one machine: broker, processes, demo."""
