"""`docker-compose.yml` as Compose reads it, alone and with `docker-compose.many.yml` over it."""

from typing import Any

import yaml

from connectors.heartbeat import kind_of
from schemas.settings import Settings
from sluice.processes import Process, settings_classes, shoppers, stack
from sluice.settings import StackSettings, variables
from tests.compose.merged import merged
from tests.tidy.sources import text

FILE: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
MANY: dict[str, Any] = merged(FILE, text("docker-compose.many.yml"))
SEVERAL = StackSettings(fraud_workers=2)
PROCESSES: dict[str, Process] = {process.name: process for process in (*stack(SEVERAL), shoppers(SEVERAL))}
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
    """Every variable that a service may be given; those of the stack `sluice run` itself reads for some."""
    kinds: list[type[Settings]] = [Settings, *settings_classes(PROCESSES[name])]
    if kind_of(name) in ("kafka", "fraud"):
        kinds.append(StackSettings)
    return {variable for kind in kinds for variable in variables(kind)}
