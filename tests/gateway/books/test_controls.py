"""Controls in the books: the rules a stack starts with are written once, and what the topic told later counts."""

from datetime import timedelta

import msgspec
from sqlalchemy import Connection

from gateway.books.controls import (
    ControlRow,
    add_rules,
    controls,
    keep_controls,
    select_entries,
    select_settings,
)
from gateway.books.outbox import list_history, outbox
from schemas.controls import DEFAULTS
from schemas.events import Tombstone
from schemas.fraud import ListEntry, Rule
from schemas.rules import FraudRule
from schemas.times import EPOCH, now

ENTRY = ListEntry("le_1", "block", "instrument", "fp_1", "stolen", None, EPOCH)


def rows(conn: Connection) -> dict[str, ControlRow]:
    return {row.id: ControlRow(**row._mapping) for row in conn.execute(controls.select())}


def test_the_rules_a_stack_starts_with_are_written_and_told_once(conn: Connection) -> None:
    for moment in (1, 2):  # a restart, or a second gateway
        add_rules(conn, DEFAULTS, moment)
    assert list(rows(conn)) == [rule.id for rule in DEFAULTS]
    (event,) = list_history(conn, DEFAULTS[0].id, 0, 100)
    assert (event.topic, event.key, event.type) == ("controls.v1", DEFAULTS[0].id, "control.fraud_rule")
    assert (event.sequence, event.recorded_at) == (1, 1)
    assert msgspec.json.decode(event.value, type=FraudRule) == DEFAULTS[0]
    assert len(conn.execute(outbox.select()).all()) == len(DEFAULTS)


def test_what_the_topic_tells_replaces_a_rule_and_a_start_leaves_it(conn: Connection) -> None:
    add_rules(conn, DEFAULTS, 1)
    mine = msgspec.structs.replace(DEFAULTS[0], version=2, mode="off", recorded_at=now())
    for _ in range(2):  # read again after a restart
        keep_controls(conn, [mine])
    add_rules(conn, DEFAULTS, 2)
    row = rows(conn)[mine.id]
    assert (msgspec.json.decode(row.setting, type=FraudRule), row.version) == (mine, 2)


def test_what_is_read_again_undoes_no_later_version(conn: Connection) -> None:
    add_rules(conn, DEFAULTS, 1)
    third = msgspec.structs.replace(DEFAULTS[0], version=3, mode="off", recorded_at=now())
    former = Rule(third.id, "count_1m", 2, "block", "mine", True, now() - timedelta(hours=1))
    keep_controls(conn, [third])
    keep_controls(conn, [msgspec.structs.replace(third, version=2, mode="live"), former])
    row = rows(conn)[third.id]
    assert (msgspec.json.decode(row.setting, type=FraudRule), row.version) == (third, 3)


def test_a_rule_that_an_earlier_release_began_with_becomes_the_same_condition(conn: Connection) -> None:
    former = Rule(DEFAULTS[0].id, "count_1m", 6, "flag", DEFAULTS[0].id, True, EPOCH)
    mine = Rule(DEFAULTS[1].id, "count_10m", 20, "block", "mine", True, now())
    keep_controls(conn, [former, mine])
    add_rules(conn, DEFAULTS[:2], 1)
    kept = rows(conn)
    assert [kept[rule.id].kind for rule in DEFAULTS[:2]] == ["fraud_rule", "rule"], "what somebody set stays"


def test_what_the_topic_tells_last_is_kept_whatever_a_clock_said(conn: Connection) -> None:
    ahead = msgspec.structs.replace(ENTRY, recorded_at=now() + timedelta(hours=3))
    lifted = msgspec.structs.replace(ENTRY, list="allow", recorded_at=now())
    keep_controls(conn, [ahead])
    keep_controls(conn, [lifted])
    (entry,) = select_entries(conn, "fp_1", "acc_1")
    assert entry == lifted


def test_entries_are_found_by_whom_they_are_about(conn: Connection) -> None:
    merchant = msgspec.structs.replace(ENTRY, id="le_2", kind="merchant", value="acc_1")
    keep_controls(conn, [ENTRY, merchant])
    assert {entry.id for entry in select_entries(conn, "fp_1", "acc_1")} == {"le_1", "le_2"}
    assert select_entries(conn, "fp_2", "acc_2") == []


def test_a_tombstone_takes_a_control_away_and_a_start_does_not_bring_it_back(conn: Connection) -> None:
    add_rules(conn, DEFAULTS, 1)
    gone = [Tombstone("controls.v1", id, now()) for id in (DEFAULTS[0].id, ENTRY.id, "le_unknown")]
    keep_controls(conn, [ENTRY, *gone])
    add_rules(conn, DEFAULTS, 2)
    assert select_entries(conn, "fp_1", "acc_1") == []
    assert {rows(conn)[tombstone.key].kind for tombstone in gone} == {"removed"}
    assert [select_settings(conn)[tombstone.key] for tombstone in gone] == [None] * 3
    assert len(list_history(conn, DEFAULTS[0].id, 0, 100)) == 1
    keep_controls(conn, [msgspec.structs.replace(ENTRY, recorded_at=now())])  # set again
    assert len(select_entries(conn, "fp_1", "acc_1")) == 1
