"""Today's contract is held to every one that was released, by its words and by records, in both directions."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import jsonschema_rs
import pytest

from schemas import export
from schemas.compatibility import additions, breaks
from schemas.events import decode
from schemas.release import ENDED, Release, keep, numbers, records, releases
from tests.tidy.sources import text

HEADING = re.compile(r"^### (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2}|not released yet)\)\n", re.MULTILINE)

RELEASES = releases()
NEWEST = RELEASES[-1]
VERSIONS = [release.version for release in RELEASES]


class ContractChanges(NamedTuple):
    """What `docs/contracts.md` says of a version; `date` is that of its release, empty before."""

    date: str
    text: str


def changelog() -> dict[str, ContractChanges]:
    """What each version changed, newest first."""
    parts = HEADING.split(text("docs/contracts.md"))[1:]
    entries = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {
        version: ContractChanges("" if date == "not released yet" else date, body)
        for version, date, body in entries
    }


def consumer_of(release: Release, type: str) -> jsonschema_rs.Validator:
    """A consumer as it was written for that release: it takes the data of an event, or refuses it."""
    reference = release.document["components"]["messages"][type]["payload"]
    schema = reference | {"components": release.document["components"]}
    return jsonschema_rs.validator_for(schema, validate_formats=True)


@pytest.mark.parametrize("release", RELEASES, ids=VERSIONS)
def test_today_s_contract_breaks_none_that_was_released(release: Release) -> None:
    assert "\n".join(breaks(release.document, export.asyncapi(), ENDED)) == ""


@pytest.mark.parametrize("release", RELEASES, ids=VERSIONS)
def test_types_of_today_read_the_records_of_before(release: Release) -> None:
    assert {sample.headers["ce_type"] for sample in release.samples} == set(
        release.document["components"]["messages"]
    )
    for sample in release.samples:
        headers = [(name, content.encode()) for name, content in sample.headers.items()]
        assert decode(headers, (sample.value or "").encode()).type == sample.headers["ce_type"]


@pytest.mark.parametrize("release", RELEASES, ids=VERSIONS)
def test_a_consumer_of_before_reads_the_records_of_today(release: Release) -> None:
    written = {record.headers["ce_type"]: record for record in records()}
    for sample in release.samples:
        type = sample.headers["ce_type"]
        today, consumer = written[type], consumer_of(release, type)
        assert [str(error) for error in consumer.iter_errors(json.loads(today.value or ""))] == []
        assert not consumer.is_valid({})
        assert sample.headers.keys() <= today.headers.keys()
        fixed = ("content-type", "ce_specversion", "ce_dataschema", "ce_type")
        assert [today.headers[name] for name in fixed] == [sample.headers[name] for name in fixed]


def test_the_changelog_of_contracts_tells_the_version_and_what_was_added() -> None:
    versions = changelog()
    assert next(iter(versions)) == export.VERSION == export.asyncapi()["info"]["version"]
    assert [version for version, entry in versions.items() if entry.date] == VERSIONS[::-1]
    added = additions(NEWEST.document, export.asyncapi())
    if added:
        assert numbers(export.VERSION) > numbers(NEWEST.version), f"raise VERSION in schemas/export.py: {added}"
        untold = [name for name in added if f"`{name}`" not in versions[export.VERSION].text]
        assert not untold, f"name it under {export.VERSION} in docs/contracts.md: {untold}"


def test_a_release_is_kept_once_and_only_where_it_breaks_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keep(tmp_path) == []
    (kept,) = releases(tmp_path)
    assert (kept.version, kept.document) == (export.VERSION, export.asyncapi())
    assert kept.samples == list(records())
    (line,) = keep(tmp_path)
    assert line.startswith(f"{export.VERSION} is released")
    broken = json.loads((tmp_path / export.VERSION / "asyncapi.json").read_text())
    broken["components"]["schemas"]["Payment"]["properties"]["once"] = {"type": "string"}
    (tmp_path / export.VERSION / "asyncapi.json").write_text(json.dumps(broken))
    monkeypatch.setattr("schemas.release.VERSION", "9.10.0")
    assert [line.split(":")[0] for line in keep(tmp_path)] == ["Payment.once"]
    assert len(releases(tmp_path)) == 1


def test_versions_are_ordered_by_their_numbers() -> None:
    assert sorted(["1.10.0", "1.9.0", "2.0.0"], key=numbers) == ["1.9.0", "1.10.0", "2.0.0"]
