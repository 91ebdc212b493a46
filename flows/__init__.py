"""Dataflows: fraud, notifications, analytics. Import `connectors` and `schemas`, never each other."""
