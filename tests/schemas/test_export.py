"""The documents for other teams: current, valid by the official schemas, and true of real events."""

import json
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from schemas import export
from schemas.events import EVENT_TYPES, decode, encode, new_event
from schemas.samples import AT, SAMPLES
from schemas.topics import TOPICS

# From npm's @asyncapi/specs 6.11.1 (Apache-2.0), `schemas/3.0.0.json`, minified.
OFFICIAL = Path(__file__).with_name("asyncapi-3.0.0.json")

SAMPLE_IDS = list(SAMPLES)


def test_committed_files_are_current() -> None:
    wanted = export.documents()
    stale = [path.name for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    assert not stale, f"run `make schemas`: {stale}"
    assert set((export.FOLDER / "json").glob("*.json")) == wanted.keys() - {export.FOLDER / "asyncapi.json"}


def test_every_event_type_has_a_topic_a_sample_and_a_schema() -> None:
    on_topics = [type for topic in TOPICS for type in topic.events]
    assert sorted(on_topics) == sorted(EVENT_TYPES)
    assert SAMPLES.keys() == EVENT_TYPES.keys() == export.json_schemas().keys()


def test_the_asyncapi_document_is_valid() -> None:
    official = jsonschema_rs.validator_for(json.loads(OFFICIAL.read_text()))
    document = export.asyncapi()
    assert [str(error) for error in official.iter_errors(document)] == []
    assert not official.is_valid(document | {"channels": {"payments.v1": {"address": 7}}})


@pytest.mark.parametrize("type", SAMPLE_IDS)
def test_a_sample_fits_its_schema_and_comes_back_from_the_wire(type: str) -> None:
    event = new_event(type, "/test", "pay_1", SAMPLES[type], AT)
    headers, value = encode(event)
    schema = jsonschema_rs.validator_for(export.json_schemas()[type], validate_formats=True)
    assert [str(error) for error in schema.iter_errors(json.loads(value))] == []
    assert not schema.is_valid({})
    assert decode(headers, value) == event


@pytest.mark.parametrize("type", SAMPLE_IDS)
def test_the_official_library_reads_our_cloudevents(type: str) -> None:
    headers, value = encode(new_event(type, "/test", "pay_1", SAMPLES[type], AT, "evt_1"))
    read = from_binary(KafkaMessage(dict(headers), b"key", value), JSONFormat(), CloudEvent)
    assert (read.get_id(), read.get_type(), read.get_time()) == ("evt_1", type, AT)
    assert read.get_data() == msgspec.json.decode(value)
