"""The dataflows: each reads Kafka and is the only one to know Bytewax, in its `flow.py`; the logic is plain."""
