"""Prints the types of a payment's events on `payments.v1`. It is piped into a container: `python - PAYMENT_ID`."""

import sys

from connectors.kafka_login import login
from connectors.record_reader import RecordReader, places
from connectors.records import read
from schemas.events import Event
from schemas.settings import Settings, load
from schemas.topics import PAYMENTS

bootstrap = login(load(Settings), "analytics")
reader = RecordReader(bootstrap)
for place in places(bootstrap, [PAYMENTS.name]):
    reader.add(place)
while not reader.at_end():
    for record in reader.poll():
        event = read(record, "test")
        if isinstance(event, Event) and event.subject == sys.argv[1]:
            print(event.type)
reader.close()
