"""Lists in the flow: of every kind, found by value, changed one at a time, whatever release wrote them."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flows.fraud.codec import verdict_of
from flows.fraud.lists import Lists
from flows.fraud.rules import Controls, decide
from flows.fraud.scoring import StreamedPayment
from schemas.controls import DEFAULTS
from schemas.events import Tombstone
from schemas.fraud import ListEntry
from schemas.ids import new_id
from schemas.lists import FraudListing
from schemas.payments import Method
from tests.flows.fraud.conftest import BEGIN, in_flight

NAMED = {
    "card": "fp_1",
    "bin": "411111",
    "customer": "acc_payer",
    "merchant": "acc_1",
    "ip": "hash_of_ip",
    "country": "DE",
    "device": "hash_of_device",
}


def paid() -> StreamedPayment:
    """A payment that names something of every kind."""
    item = in_flight()
    item.payment = msgspec.structs.replace(
        item.payment,
        customer="acc_payer",
        merchant="acc_1",
        country="DE",
        ip_hash="hash_of_ip",
        ip_network_hash="hash_of_network",
        device_hash="hash_of_device",
        method=Method("card", "card_1", "visa", "411111", "1111"),
    )
    return item


def listing(list: str = "block", kind: str = "card", value: str = "", **fields: Any) -> FraudListing:
    given = {"id": new_id("lst"), "version": 1, "list": list, "kind": kind, "value": value or NAMED[kind]}
    return msgspec.convert(
        given | {"owner": "acc_2", "expires_at": None, "recorded_at": BEGIN} | fields, FraudListing
    )


def test_an_address_is_found_by_its_network_as_well() -> None:
    controls = Controls()
    controls.apply(listing("block", "ip", "hash_of_network"))
    assert decide(paid(), controls).outcome == "block"


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("list", ["block", "allow"])
def test_an_entry_of_every_kind_decides_and_its_verdict_names_it(kind: str, list: str) -> None:
    controls, entry = Controls(DEFAULTS), listing(list, kind)
    item = paid()
    item.features = {"count_1m": 100.0}
    controls.apply(listing("block", kind, "of somebody else"), entry)
    verdict = verdict_of(item, controls, BEGIN)
    assert (verdict.outcome, verdict.source, verdict.listed) == (list, "rules", entry.id)
    assert verdict.reasons == [f"{list}_list", entry.id]
    controls.apply(Tombstone("controls.v1", entry.id, BEGIN))
    assert verdict_of(item, controls, BEGIN).listed is None


def test_a_value_of_one_kind_is_none_of_another() -> None:
    controls = Controls()
    controls.apply(listing("block", "merchant", "acc_payer"), listing("block", "customer", "acc_1"))
    assert decide(paid(), controls).outcome == "allow"


def test_a_block_goes_before_an_allow_also_where_the_payment_has_a_fault() -> None:
    controls, blocks, allows = Controls(), listing("block", "country"), listing("allow", "card")
    controls.apply(allows, blocks)
    item = paid()
    item.fault = "scoring_error"
    assert decide(item, controls).listed == blocks.id
    controls.apply(Tombstone("controls.v1", blocks.id, BEGIN))
    assert decide(item, controls).outcome == "allow"


def test_what_an_earlier_release_wrote_is_obeyed_beside_it() -> None:
    controls = Controls()
    controls.apply(listing("allow", "card"))
    controls.apply(ListEntry("list_old", "block", "instrument", "fp_1", "stolen", None, BEGIN))
    assert decide(paid(), controls).listed == "list_old"


def test_an_entry_expires_by_the_time_the_payment_was_recorded_at() -> None:
    controls, item = Controls(), paid()
    controls.apply(listing(expires_at=item.recorded_at + timedelta(microseconds=1)))
    assert decide(item, controls).outcome == "block"
    controls = Controls()
    controls.apply(listing(expires_at=item.recorded_at))
    assert decide(item, controls).outcome == "allow"


def test_an_older_version_replaces_no_newer_one() -> None:
    controls, entry = Controls(), listing("block")
    newer = msgspec.structs.replace(entry, list="allow", version=2)
    controls.apply(newer, entry)
    assert decide(paid(), controls).outcome == "allow"
    controls.apply(msgspec.structs.replace(entry, version=3))
    assert decide(paid(), controls).outcome == "block"


def test_the_version_of_the_controls_says_what_is_in_force_and_not_in_which_order_it_came() -> None:
    entries = [listing("block", "country", code) for code in ("DE", "FR", "IT")]
    one, other = Controls(DEFAULTS), Controls(DEFAULTS)
    for entry in entries:
        one.apply(entry)
    other.apply(*reversed(entries))
    assert one.version == other.version != Controls(DEFAULTS).version
    one.apply(Tombstone("controls.v1", entries[0].id, BEGIN))
    assert one.version != other.version
    one.apply(entries[0])
    assert one.version == other.version


def test_many_entries_of_one_value_are_taken_away_one_by_one() -> None:
    lists, entries = Lists(), [listing("block", value="fp_1") for _ in range(5)]
    for entry in entries:
        assert lists.put(entry)
        assert not lists.put(entry)
    for left, entry in zip(range(4, -1, -1), entries, strict=True):
        assert lists.remove(entry.id)
        assert not lists.remove(entry.id)
        assert len(lists) == left
    assert (lists.digest, lists._by_value) == (0, {})
