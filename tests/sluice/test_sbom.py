"""The bill of materials names what is installed, each by a name that scanners know."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from sluice import sbom
from sluice.jars import locked
from tests.tidy.sources import text

UNLOCKED = {"sluice", "pip", "setuptools"}  # what every environment begins with, and we ourselves


def test_every_installed_package_of_the_lock_is_named_with_its_version() -> None:
    named = {component["purl"] for component in sbom.pythons()}
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", text("requirements.lock"), re.MULTILINE)
    pinned = {f"pkg:pypi/{name}@{pin}" for name, pin in pins}
    assert f"pkg:pypi/quart@{version('quart')}" in named & pinned
    assert {purl.partition("@")[0].removeprefix("pkg:pypi/") for purl in named - pinned} <= UNLOCKED


def test_jars_are_named_where_they_lie_with_their_hashes(class_path: list[Path], tmp_path: Path) -> None:
    found = list(sbom.jars(class_path[0].parents[1]))
    assert {component["hashes"][0]["content"] for component in found} == {jar.sha256 for jar in locked()}
    assert "pkg:maven/org.apache.kafka/kafka-clients@4.3.1" in {component["purl"] for component in found}
    assert list(sbom.jars(tmp_path)) == []


def test_a_jar_that_is_not_as_locked_is_no_part_of_a_document(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / locked()[0].file).write_bytes(b"altered")
    with pytest.raises(sbom.JarAltered):
        list(sbom.jars(tmp_path))


def test_packages_of_debian_are_told_with_their_source_and_release() -> None:
    told = {component["name"]: component["purl"] for component in sbom.debians()}
    assert told["libc6"].startswith("pkg:deb/debian/libc6@")
    assert "&distro=debian-" in told["libc6"]
    assert told["libc6"].endswith("&upstream=glibc")


def test_a_version_of_debian_is_quoted() -> None:
    made = sbom._component("pkg:deb/debian/perl", "perl", "1:5.36.0-7+deb12u1", "?arch=amd64")
    assert made["purl"] == "pkg:deb/debian/perl@1%3A5.36.0-7%2Bdeb12u1?arch=amd64"
    assert {component["name"] for component in sbom.runtimes()} == {"python", "openjdk"}
