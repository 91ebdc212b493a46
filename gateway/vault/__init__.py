"""The vault: the one process that reads the keys, and the one file that holds card numbers.

`server` answers `frames` from the `safe`; the gateway calls it through `client`.
"""
