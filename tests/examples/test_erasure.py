"""A consumer that keeps something of its own about customers loses it with them, whatever comes after."""

import json
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from connectors.kafka import producer
from examples.stream.play import play, records
from tests.tidy.sources import ROOT


def named(type: str, *path: str) -> set[str]:
    """What the events of a type in the stream have at a path."""
    found = set()
    for line in records():
        if line["headers"].get("ce_type") == type:
            value = json.loads(line["value"])
            for name in path:
                value = value[name]
            found.add(value)
    return found


def test_who_is_erased_is_not_kept(kafka: str, tmp_path: Path) -> None:
    prefix, database = f"test-{secrets.token_hex(4)}.", tmp_path / "customers.sqlite3"
    paid, erased = named("payment.initiated", "payment", "customer"), named("account.erased", "account")
    assert erased <= paid, "whoever was erased had paid"
    writer = producer(kafka)
    for topics in ({"payments.v1", "accounts.v1"}, {"payments.v1"}):  # at last payments come after the erasure
        play(kafka, prefix, topics, again=True)
        writer.produce(f"{prefix}payments.v1", b"{unfinished", headers=[("ce_type", b"payment.initiated")])
        assert writer.flush(30) == 0
        read_on(kafka, prefix, database)
        assert asked(database, "SELECT account FROM erased") == erased
        assert asked(database, "SELECT account FROM customers") == paid - erased


def read_on(bootstrap: str, prefix: str, database: Path) -> None:
    """Run the program until it has read what there is."""
    program = [sys.executable, "examples/python/erasure.py", "--bootstrap", bootstrap, "--prefix", prefix]
    subprocess.run([*program, "--database", str(database), "--until-end"], cwd=ROOT, check=True, timeout=60)


def asked(database: Path, statement: str) -> set[str]:
    """The first column of what a statement finds."""
    with closing(sqlite3.connect(database)) as rows:
        return {row[0] for row in rows.execute(statement)}
