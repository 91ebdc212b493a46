"""The vault: the one process that reads a key, and the one file that holds card numbers (design §4).

`server` speaks `frames` on a Unix socket, `safe` answers them from `cards` with `keys` and the `envelope`.
The gateway uses `client`.
"""
