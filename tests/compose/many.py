"""`make test-compose`: `docker-compose.many.yml` for real: payments by TLS while one of several is killed.

Prints the seconds of each step and, as its last line, a JSON document; exit 0 only if all held.
"""

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.compose import buyers
from tests.compose.buyers import Buyer, Paid
from tests.compose.compose_file import MANY
from tests.compose.containers import Containers
from tests.compose.report import Report, run_stack
from tests.patience import until

COPIES = Path(__file__).with_name("copies.py").read_text()
WITHIN_S = 120.0
UNDER_WAY_S = 4.0
PAYING_S = 40.0
ALLOWED = {"captured", "in_review", "declined"}  # one card that pays all the time looks stolen
# Asks a gateway for its metrics as if it were Prometheus: 200 where it believes whoever asks, else 403.
SPOOF = """
import http.client
asked = http.client.HTTPConnection("gateway", 8080, timeout=5)
asked.request("GET", "/metrics", headers={"X-Forwarded-For": "172.31.201.5"})
print(asked.getresponse().status)
"""
SPOOF_BY_BASH = (
    "exec 3<>/dev/tcp/front-1/8080; "
    "printf 'GET /metrics HTTP/1.0\\r\\nX-Forwarded-For: 172.31.201.5\\r\\n\\r\\n' >&3; head -n 1 <&3"
)


def prove(report: Report, containers: Containers) -> None:
    """What must hold."""
    with report.step("started"):
        containers.up()
    with report.step("all healthy"):
        containers.await_healthy()
    with report.step("each partition has three copies"):
        until(lambda: are_whole(containers, "kafka"), WITHIN_S)
    with report.step("the proxy alone is believed, and gives nothing away"):
        assert asyncio.run(buyers.refused("/metrics")) == 404
        assert containers.inside("sql", "python", "-", given=SPOOF) == "403\n"
        assert " 200 " in containers.inside("proxy", "bash", "-c", SPOOF_BY_BASH)
    asyncio.run(lose_one_of_each(report, containers))
    report.add(memory_mb=containers.memory_mb(), restarts=containers.restarts())


async def lose_one_of_each(report: Report, containers: Containers) -> None:
    """A node of Kafka, a gateway, a worker: payments go on, and nothing of them is lost."""
    async with buyers.buyer(containers.secrets / "proxy.pem") as buyer:
        paid = [await buyer.pay()]
        for service in ("kafka-2", "gateway-2", "fraud-2"):
            with report.step(f"paid while {service} was killed"):
                paid += await pay_over(buyer, containers, service, report)
            with report.step(f"{service} came back"):
                await asyncio.to_thread(containers.await_healthy, [service])
                assert containers.restarts().get(service, 0) >= 1
    with report.step("Kafka's node has caught up"):
        until(lambda: are_whole(containers, "kafka-2"), WITHIN_S)
    with report.step("every payment and verdict is there"):
        until(lambda: seen(containers, paid) == len(paid), WITHIN_S)
        until(lambda: judged(containers, paid) == len(paid), WITHIN_S)
    with report.step("a node with an empty volume has caught up"):
        containers.lose_volume("kafka-3")
        containers.await_healthy(["kafka-3"])
        until(lambda: are_whole(containers, "kafka-3"), WITHIN_S)


async def pay_over(buyer: Buyer, containers: Containers, service: str, report: Report) -> list[Paid]:
    """Pay, kill -9 one process while payments are under way, and go on paying."""
    buyer.again.clear()
    paying = asyncio.create_task(buyer.pay_for(PAYING_S))
    await asyncio.sleep(UNDER_WAY_S)
    await asyncio.to_thread(containers.crash, service)
    paid = await paying
    assert {each.state for each in paid} <= ALLOWED, paid
    longest = max(each.seconds for each in paid)
    tries = max(each.tries for each in paid)
    told = {"payments": len(paid), "longest_s": longest, "most_tries": tries, "sent_again": dict(buyer.again)}
    report.add(**{f"{service}_killed": told})
    return paid


def are_whole(containers: Containers, service: str) -> bool:
    """Whether each partition has three copies, all of them in sync."""
    told = containers.inside(service, "python", "-", given=COPIES).splitlines()
    return bool(told) and set(told) == {"3 3"}


def seen(containers: Containers, paid: Iterable[Paid]) -> int:
    """How many of the payments the warehouse has."""
    [row] = _asked(containers, f"SELECT count(*) AS n FROM payments WHERE id IN ({_ids(paid)})")
    return int(row["n"])


def judged(containers: Containers, paid: Iterable[Paid]) -> int:
    """How many of the payments have a verdict of the fraud flow, in time or late."""
    [row] = _asked(containers, f"SELECT count(DISTINCT payment) AS n FROM risk WHERE payment IN ({_ids(paid)})")
    return int(row["n"])


def _asked(containers: Containers, query: str) -> Any:
    return json.loads(containers.inside("sql", "sluice", "sql", "--json", query))


def _ids(paid: Iterable[Paid]) -> str:
    return ", ".join(f"'{each.id}'" for each in paid)


if __name__ == "__main__":
    sys.exit(run_stack(MANY, prove))
