"""A search for something that does not hold: hypothesis makes the runs."""

import click
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.machine.rules import GatewayMachine
from benchmarks.machine.world import World

STEPS = 50  # of one run
PER_RUN = 25  # operations of an average run
BATCH = 50  # runs at most that are one search of hypothesis: it remembers them all


def search(world: World, most: int, chosen: int, *, shrink: bool = False) -> str | None:
    """Run the machine for `most` operations. What does not hold first, if anything; `world` has the figures.

    The seed `chosen` makes the same runs again. `shrink`: look for the shortest one, and print it.
    """
    begun = world.begin_search()
    how = settings(
        max_examples=min(BATCH, most // PER_RUN),
        stateful_step_count=STEPS,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.normal if shrink else Verbosity.quiet,
    )
    GatewayMachine.world, batch = world, 0
    while world.operations - begun < most:
        try:
            run_state_machine_as_test(seed(chosen + batch)(GatewayMachine), settings=how)
        except Exception as error:
            click.echo("\n".join([str(error), *getattr(error, "__notes__", [])]), err=True)
            return world.found or repr(error)
        batch += 1
    return None
