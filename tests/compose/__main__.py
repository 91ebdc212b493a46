"""`make test-compose`: starts `docker-compose.yml` for real with podman, uses it, breaks it, and cleans up.

As root on Debian. Prints the seconds of each step and, as its last line, a JSON document; exit 0 only if all held.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.compose import customer, machine
from tests.compose.compose_file import STARTED
from tests.compose.containers import Containers

NOT_RUN = (
    "health checks on a schedule and start_interval (no systemd: they are run by hand)",
    "depends_on (podman 4.3 does not wait for service_healthy: everything starts at once)",
    "the official images of Python and PostgreSQL (Debian's own in their place)",
)
# Out of which service, what, and whether it is reached.
WAYS = (
    ("gateway", "postgres", 5432, True),
    ("gateway", "kafka", 9094, True),
    ("dashboard", "analytics", 9495, True),
    ("fraud", "postgres", 5432, False),
    ("sandbox", "kafka", 9094, False),
    ("dashboard", "sql", 9494, True),
    ("fraud", "dashboard", 8501, False),
    ("dashboard", "kafka", 9094, False),
    ("shoppers", "postgres", 5432, False),
    ("vault", "gateway", 8080, False),
)


class Report:
    """What came out, and how long each step took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._facts: dict[str, Any] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and print its seconds."""
        began = time.monotonic()
        print(f"{name:<44}", end="", flush=True)
        yield
        self._seconds[name] = round(time.monotonic() - began, 1)
        print(f"{self._seconds[name]:6.1f} s", flush=True)

    def add(self, **facts: Any) -> None:
        """Put facts into the document."""
        self._facts |= facts

    def document(self, held: bool) -> str:
        """One line of JSON."""
        total = round(sum(self._seconds.values()), 1)
        return json.dumps({"held": held, "total_s": total, "seconds": self._seconds, **self._facts})


def prepare(report: Report) -> None:
    """The machine and the images."""
    with report.step("packages"):
        machine.install_packages()
    with report.step("base image"):
        machine.make_base()
    with report.step("images"):
        machine.build_images()
    report.add(images_mb=machine.sizes_mb())


def use(report: Report, containers: Containers) -> None:
    """Everything that a customer, a merchant, an analyst and an administrator see."""
    with report.step("started"):
        containers.up()
    with report.step("all healthy"):
        containers.await_healthy()
    with report.step("networks part them"):
        ways = [customer.is_reached(containers, *way) for *way, _ in WAYS]
        assert ways == [reached for *_, reached in WAYS], ways
    with report.step("paid"):
        payment = asyncio.run(customer.pay(asyncio.run(customer.order())))
    with report.step("refunded"):
        refund = asyncio.run(customer.refund(payment))
    report.add(refunds="tried" if refund else "this gateway has none")
    with report.step("seen on Kafka, by SQL and in the mail"):
        customer.await_event(containers, payment["id"], "refund.succeeded" if refund else "payment.captured")
        refunded = {"amount_refunded": 500} if refund else {}
        customer.await_row(containers, payment["id"], state="captured", **refunded)
        customer.await_mail()
    with report.step("dashboard opened"):
        assert customer.look_at_the_dashboard(containers) > 0
    report.add(memory_mb=containers.memory_mb(), restarts_until_healthy=containers.restarts())


def recover(report: Report, containers: Containers) -> None:
    """Kafka away stops no sale; PostgreSQL away delays one; a process that is killed is started again."""
    order = asyncio.run(customer.order())
    with report.step("sold while Kafka was down, seen afterwards"):
        containers.order("kafka", "stop")
        payment = asyncio.run(customer.pay(order))
        containers.order("kafka", "start")
        customer.await_event(containers, payment["id"], "payment.captured")
        customer.await_row(containers, payment["id"], state="captured", amount=1999)
    with report.step("sold after PostgreSQL was down"):
        asyncio.run(_pay_over_an_outage(containers, order))
    with report.step("vault, analytics, sql, gateway killed"):
        for service in ("vault", "analytics", "sql", "gateway"):
            containers.crash(service)
    with report.step("all healthy again"):
        containers.await_healthy(sorted(STARTED))
        asyncio.run(customer.pay(order))
    restarted = containers.restarts()
    assert {"vault", "analytics", "sql", "gateway"} <= restarted.keys(), restarted
    report.add(restarts=restarted)


async def _pay_over_an_outage(containers: Containers, order: dict[str, Any]) -> None:
    await asyncio.to_thread(containers.order, "postgres", "stop")
    paying = asyncio.create_task(customer.pay(order))
    await customer.refused_for_now()
    await asyncio.to_thread(containers.order, "postgres", "start")
    await paying


@contextmanager
def running(directory: Path, report: Report) -> Iterator[Containers]:
    """The stack, which leaves nothing behind."""
    containers = Containers(directory)
    containers.down()  # of a run that was cut short
    try:
        yield containers
    finally:
        with report.step("cleaned up"):
            containers.down()


def main() -> int:
    """The exit code."""
    report, held = Report(), False
    with TemporaryDirectory() as directory:
        machine.configure(Path(directory))
        try:
            prepare(report)
            with running(Path(directory), report) as containers:
                use(report, containers)
                recover(report, containers)
            held = True
        finally:
            report.add(not_run=NOT_RUN)
            print(report.document(held), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
