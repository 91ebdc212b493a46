"""Writes `kafka.lock.toml` anew from what jgo resolves: `python -m sluice.lock_jars` (needs the network)."""

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver

from sluice.jars import LOCK, Jar

# Not 4.4.0: its broker is served, its tools are not. Not log4j-slf4j-impl as the binding: jgo then takes over
# that project's managed versions and puts kafka-clients 3.9.1 beside the 4.3.1 broker.
ROOTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")


def resolve(directory: Path) -> list[Jar]:
    """The jars of `ROOTS` and of all they need at run time, sorted by coordinates."""
    resolver = PythonResolver()
    context = MavenContext(repo_cache=directory, resolver=resolver)
    roots, needed = resolver.resolve([context.create_dependency(root) for root in ROOTS])
    artifacts = [dependency.artifact for dependency in [*roots, *needed]]
    jars = [Jar(a.groupId, a.artifactId, a.version, _sha256(a.resolve())) for a in artifacts]
    return sorted(jars, key=lambda jar: (jar.group, jar.artifact))


def as_toml(jars: list[Jar]) -> str:
    """The text of the lock: no repository address in it, jgo knows the repository itself."""
    entries = [
        f'[[jars]]\ngroup = "{jar.group}"\nartifact = "{jar.artifact}"\n'
        f'version = "{jar.version}"\nsha256 = "{jar.sha256}"\n'
        for jar in jars
    ]
    return f"# Written by `python -m sluice.lock_jars` from {' and '.join(ROOTS)}.\n\n" + "\n".join(entries)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        LOCK.write_text(as_toml(resolve(Path(scratch))))
