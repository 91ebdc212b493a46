"""`sluice run` and `sluice ready`: one process of the stack by itself, where something else supervises it."""

import asyncio
import os

import click

from connectors.heartbeat import last_beat
from connectors.private_files import keep_private
from sluice import jars
from sluice.processes import Process, settings_classes, shoppers, stack
from sluice.settings import StackSettings, environment
from sluice.up import CannotStart, refuse_local, show_progress, stack_settings


@click.command()
@click.argument("name")
def run(name: str) -> None:
    """Become the process NAME of the stack, or the demo's shoppers.

    For what supervises processes itself, such as containers. Whatever `sluice up` prepares before a start is
    prepared (Kafka's storage, a flow's recovery store), and the process is handed only the settings that it
    declares. Nothing is waited for: a process bears that others come late, or exits and is to be started again.
    """
    settings = stack_settings(None)
    process = _process(settings, name)
    _prepare(settings, process)
    known = environment(settings_classes(process), settings.data) | process.given
    os.execve(process.command[0], process.command, known)  # noqa: S606 - our own command


@click.command()
@click.argument("name")
def ready(name: str) -> None:
    """Exit 0 if the process NAME is ready, 1 if not.

    As `sluice up` judges it: it answers on its port or socket, or writes heartbeats. To be called where the
    process runs, with its environment. Topics that Kafka does not have yet are created.
    """
    settings = stack_settings(None)
    if not asyncio.run(_is_ready(settings, _process(settings, name))):
        raise SystemExit(1)


def _prepare(settings: StackSettings, process: Process) -> None:
    """What `sluice up` does before it starts the process. Raises `JarsUnavailable`, `BadSetting`."""
    if process.name != "shoppers":  # they keep no data
        keep_private(settings.data)
    if process.name == "kafka":
        jars.provide(settings.cache, show_progress)
    if process.prepare is not None:
        process.prepare()


async def _is_ready(settings: StackSettings, process: Process) -> bool:
    beat = last_beat(settings, process.name)
    return await process.probe(beat.pid if beat else 0)


def _process(settings: StackSettings, name: str) -> Process:
    """One process of the table. Raises `CannotStart`."""
    refuse_local(settings, name)
    there = {process.name: process for process in (*stack(settings), shoppers(settings))}
    if name not in there:
        raise CannotStart(f"no such process: {name} (there are: {', '.join(there)})")
    return there[name]
