"""The empty hop: a flow that copies one topic to another by our own source and sink."""

from bytewax import operators as op
from bytewax.dataflow import Dataflow

from connectors.kafka_login import login
from connectors.streams import KafkaSink, KafkaSource, Out
from schemas.settings import Settings, load
from schemas.topics import Topic

INPUT = Topic("bench.in", "anything", "Into the empty hop.", (), {})
OUTPUT = Topic("bench.out", "anything", "Out of the empty hop.", (), {})


def get_flow() -> Dataflow:
    """The flow of `python -m bytewax.run benchmarks.flow:get_flow`."""
    bootstrap = login(load(Settings), "admin")
    flow = Dataflow("hop")
    records = op.input("in", flow, KafkaSource(bootstrap, INPUT.name))
    # Record("bench.in", 3, 41, b"17", [], b'{"payment": …}', …)
    passed = op.map("pass", records, lambda record: Out(OUTPUT.name, record.key or b"", [], record.value or b""))
    op.output("out", passed, KafkaSink(bootstrap))
    return flow
