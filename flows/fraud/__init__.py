"""Judge each payment while it is in flight: features, rules and a model that learns from labels that come later.

`flow.py` reads top-down; everything else here is plain: no engine, no Kafka, no clock.
"""
