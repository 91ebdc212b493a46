"""The controls that stand on `controls.v1` when the flow starts: no payment is judged without them."""

from connectors.records import Offsets, RecordReader, places, read
from flows.fraud.edges import SOURCE, apply
from flows.fraud.rules import Controls
from schemas.events import Event
from schemas.topics import CONTROLS


def standing_controls(bootstrap: str) -> tuple[Controls, Offsets]:
    """The controls in force, and where to read on. Raises `KafkaException` where the broker is away."""
    controls, reader = Controls(), RecordReader(bootstrap)
    try:
        for place in places(bootstrap, [CONTROLS.name]):
            reader.add(place)
        while not reader.at_end():
            for record in reader.poll():
                if isinstance(event := read(record, SOURCE), Event):
                    apply(event, controls)
        return controls, dict(reader.positions)
    finally:
        reader.close()
