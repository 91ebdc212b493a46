"""`docker-compose.yml` as Compose reads it."""

from typing import Any

import yaml

from schemas.settings import Settings
from sluice.processes import Process, settings_classes, shoppers, stack
from sluice.settings import StackSettings, variables
from tests.tidy.sources import text

FILE: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
# Those of the profile `observe` are images of others.
STARTED = [name for name, service in SERVICES.items() if service.get("profiles") != ["observe"]]
PROCESSES: dict[str, Process] = {
    process.name: process for process in (*stack(StackSettings()), shoppers(StackSettings()))
}
DEMO = {"sandbox", "catcher", "shoppers"}


def members(key: str, name: str) -> set[str]:
    """The services that have the network or secret `name`."""
    return {service for service, given in SERVICES.items() if name in given.get(key, ())}


def mounting(volume: str) -> set[str]:
    """The services that mount a volume."""
    return {
        service
        for service, given in SERVICES.items()
        if volume in [mount.partition(":")[0] for mount in given.get("volumes", ())]
    }


def read_by(name: str) -> set[str]:
    """Every variable that a service may be given; `sluice run` reads those of the stack for Kafka itself."""
    kinds: list[type[Settings]] = [Settings, *settings_classes(PROCESSES[name])]
    if name == "kafka":
        kinds.append(StackSettings)
    return {variable for kind in kinds for variable in variables(kind)}
