"""The recorded stream: valid by today's schemas, each type of event, repeats, and nothing of a person."""

import json
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from connectors.kafka_login import KafkaLogin, login
from connectors.records import card_number_in
from examples.stream.play import PARTITIONS, records
from schemas.events import Tombstone, decode
from schemas.export import json_schemas
from schemas.release import releases
from schemas.topics import TOPICS, WITH_TOMBSTONES
from sluice.settings import StackSettings
from tests.tidy.sources import ROOT

LINES = list(records())
SCHEMAS = {
    type: jsonschema_rs.validator_for(schema, validate_formats=True) for type, schema in json_schemas().items()
}
ON_TOPIC = {type: topic for topic in TOPICS for type in topic.events}


def events(*types: str) -> list[dict[str, Any]]:
    return [json.loads(line["value"]) for line in LINES if line["headers"].get("ce_type") in types]


def test_every_record_is_valid_by_today_s_schemas() -> None:
    assert len(LINES) > 1000
    for line in LINES:
        if line["value"] is None:
            assert line["topic"] in WITH_TOMBSTONES
            continue
        type = line["headers"]["ce_type"]
        assert [str(error) for error in SCHEMAS[type].iter_errors(json.loads(line["value"]))] == [], line
        event = decode([(name, text.encode()) for name, text in line["headers"].items()], line["value"].encode())
        assert not isinstance(event.data, Tombstone)
        assert line["topic"] == ON_TOPIC[type].name
        assert 0 <= line["partition"] < PARTITIONS


def test_it_has_every_type_of_event_that_was_released() -> None:
    types = releases()[-1].document["components"]["messages"].keys()
    assert types - {line["headers"].get("ce_type") for line in LINES} == set()


def test_it_has_what_a_consumer_must_bear() -> None:
    ids = Counter(line["headers"].get("ce_id") for line in LINES if line["topic"] == "payments.v1")
    assert sum(count > 1 for count in ids.values()) > 10, "repeats"
    assert any(line["value"] is None for line in LINES), "a tombstone"
    (letter,) = events("dead_letter")
    assert letter["topic"] == "notifications.v1"
    (erased,) = events("account.erased")
    assert erased["role"] == "customer"
    refunds = Counter(event["payment"]["id"] for event in events("refund.succeeded"))
    assert max(refunds.values()) > 1
    assert len({event["payment"]["id"] for event in events("payment.initiated")}) > 200


def newest(topic: str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Each payment with its highest sequence on a topic; what only tells of an answer changes none."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for line in (line for line in LINES if line["topic"] == topic):
        event = json.loads(line["value"])
        id, sequence = event["payment"]["id"], event["sequence"]
        if line["headers"]["ce_type"] != "transaction_completed" and sequence > found.get(id, (0, {}))[0]:
            found[id] = sequence, event["payment"]
    return found


def test_payments_latest_has_each_payment_as_its_newest_event_has_it() -> None:
    assert newest("payments.latest.v1") == newest("payments.v1")
    keys = {line["key"] for line in LINES if line["topic"] == "payments.latest.v1"}
    assert keys == newest("payments.v1").keys()


@pytest.mark.parametrize("name", ["payments.v1", "operations.v1", "reviews.v1"])
def test_a_partition_is_whole_and_in_order(name: str) -> None:
    places: dict[int, int] = {}
    for line in (line for line in LINES if line["topic"] == name):
        assert line["offset"] == places.get(line["partition"], -1) + 1
        places[line["partition"]] = line["offset"]
    assert len(places) > 1


def test_nothing_of_a_person_is_in_it() -> None:
    for line in LINES:
        assert not card_number_in((line["value"] or "").encode()), line
        assert not [word for word in ("ada.", "Somebody", "91.0.0.1") if word in json.dumps(line)], line


def test_it_is_played_onto_a_kafka_that_wants_a_login(kafka_settings: StackSettings, tmp_path: Path) -> None:
    admin = login(kafka_settings, "admin")
    assert isinstance(admin, KafkaLogin)
    config = tmp_path / "kafka.properties"
    config.write_text(
        "# as Kafka's own tools take it\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism = PLAIN\n"
        f"sasl.username={admin.user}\nsasl.password={admin.password}\n"
    )
    command = [sys.executable, "examples/stream/play.py", "--bootstrap", admin.servers, "--config", str(config)]
    command += ["--prefix", f"test-{secrets.token_hex(4)}.", "--topic", "reviews.v1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    expected = sum(line["topic"] == "reviews.v1" for line in LINES)
    assert (done.stdout, done.returncode) == (f"{expected} records written\n", 0), done.stderr
