"""A running compose file: started with podman-compose, asked and broken with podman."""

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from tests.compose.machine import COMPOSE, POSTGRES, PROXY, run
from tests.patience import until
from tests.tidy.sources import ROOT

PROJECT = "sluice-test"
ADDRESS = "127.0.0.9"  # of the published ports: another stack may have ours on 127.0.0.1
HEALTHY_WITHIN_S = 300
ENVIRONMENT = {
    "SLUICE_PUBLISH": ADDRESS,
    "SLUICE_POSTGRES_IMAGE": POSTGRES,
    "SLUICE_PROXY_IMAGE": PROXY,
    "SLUICE_SEED": "true",
    "SLUICE_SHOPPER_RATE": "2",
}


class Containers:
    """The stack of a compose `file`, with its secrets in `directory`.

    `services`: those that are started. Of the profile `observe` the images are others'.
    """

    def __init__(self, directory: Path, file: dict[str, Any]) -> None:
        self.services = [name for name, of in file["services"].items() if of.get("profiles") != ["observe"]]
        self._needs = {name: [*file["services"][name].get("depends_on", ())] for name in self.services}
        self._file = directory / "docker-compose.yml"
        self._file.write_text(yaml.safe_dump(for_podman(file)))
        shutil.copytree(ROOT / "deploy", directory / "deploy")
        self.secrets = directory / "secrets"
        run(str(ROOT / "deploy" / "make-secrets"), str(self.secrets))
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        os.environ.clear()
        os.environ.update(plain | ENVIRONMENT)

    def up(self) -> None:
        """Create and start everything, each once what it depends on is healthy: podman itself does not wait."""
        sorter = TopologicalSorter(self._needs)
        sorter.prepare()
        while sorter.is_active():
            wave = sorter.get_ready()
            self.await_healthy({need for name in wave for need in self._needs[name]})
            self._compose("up", "--no-build", "--detach", *wave)
            sorter.done(*wave)

    def down(self) -> None:
        """Remove containers, networks and volumes, those of the other compose file too.

        podman-compose removes what has its label: it gives none to a volume whose name begins that of another.
        """
        self._compose("down", "--volumes")
        for kind in ("volume", "network"):
            names = run("podman", kind, "ls", "--format", "{{.Name}}").splitlines()
            for name in [name for name in names if name.startswith(f"{PROJECT}_")]:
                run("podman", kind, "rm", "--force", name)

    def await_healthy(self, services: Iterable[str] | None = None) -> None:
        """Wait until each (None: all) says so of itself. Raises `AssertionError` with the end of its log."""
        for service in self.services if services is None else services:
            until(lambda: self._is_healthy(service), HEALTHY_WITHIN_S, lambda: self.log(service))  # noqa: B023

    def inside(self, service: str, *words: str, given: str = "") -> str:
        """The output of a command in a container. Raises `CalledProcessError`."""
        return run("podman", "exec", "--interactive", container(service), *words, given=given)

    def order(self, service: str, verb: str) -> None:
        """`stop` or `start` a container."""
        run("podman", verb, container(service))

    def crash(self, service: str) -> None:
        """Kill -9 the process in a container. (What `podman kill` ends is not started again.)"""
        run("podman", "exec", container(service), "sh", "-c", "kill -9 -1", check=False)

    def lose_volume(self, service: str) -> None:
        """Take a service's container away with the volume of its name, and start it with an empty one."""
        run("podman", "rm", "--force", container(service))
        run("podman", "volume", "rm", f"{PROJECT}_{service}")
        self._compose("up", "--no-build", "--detach", service)

    def log(self, service: str) -> str:
        """The end of a service's output."""
        ran = subprocess.run(
            ["podman", "logs", "--tail", "20", container(service)], stdout=-1, stderr=-2, text=True, check=False
        )
        return f"{service}: {ran.stdout}"

    def restarts(self) -> dict[str, int]:
        """How often each service that ended was started again."""
        found = {name: self._inspect(name)["RestartCount"] for name in self.services}
        return {name: count for name, count in found.items() if count}

    def memory_mb(self) -> dict[str, float]:
        """What each service has in memory now, by its cgroup."""
        rows = json.loads(run("podman", "stats", "--no-stream", "--format", "json"))
        mine = {row["name"]: row["mem_usage"].partition(" /")[0] for row in rows}
        return {name: megabytes(mine[container(name)]) for name in self.services}

    def _inspect(self, service: str) -> dict[str, Any]:
        [found] = json.loads(run("podman", "inspect", container(service)))
        return dict(found)

    def _is_healthy(self, service: str) -> bool:
        check = ["podman", "healthcheck", "run", container(service)]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    def _compose(self, *words: str) -> None:
        file = ("--file", str(self._file))
        run(str(COMPOSE), "--project-name", PROJECT, *file, "--profile", "demo", *words)


def container(service: str) -> str:
    """The name of a service's container."""
    return f"{PROJECT}_{service}_1"


def for_podman(file: dict[str, Any]) -> dict[str, Any]:
    """Without what podman 4.3 cannot do: `start_interval`, and to wait for a neighbour (`Containers.up` does)."""
    found = copy.deepcopy(file)
    for service in found["services"].values():
        service["healthcheck"].pop("start_interval", None)
        service.pop("depends_on", None)
    return found


def megabytes(shown: str) -> float:
    """The number behind `103.4MB`."""
    units = {"kB": 0.001, "MB": 1.0, "GB": 1000.0}
    return round(next(float(shown.removesuffix(u)) * by for u, by in units.items() if shown.endswith(u)), 1)
