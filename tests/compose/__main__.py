"""`make test-compose`: starts `docker-compose.yml` for real with podman, uses it, breaks it, and cleans up.

As root on Debian. Prints the seconds of each step and, as its last line, a JSON document; exit 0 only if all held.
"""

import asyncio
import sys
from typing import Any

from tests.compose import customer
from tests.compose.compose_file import FILE
from tests.compose.containers import Containers
from tests.compose.report import Report, run_stack

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
        containers.await_healthy()
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


def prove(report: Report, containers: Containers) -> None:
    """What must hold."""
    use(report, containers)
    recover(report, containers)


if __name__ == "__main__":
    sys.exit(run_stack(FILE, prove))
