"""Liveness, readiness and metrics of the gateway."""

import asyncio
from datetime import timedelta
from typing import Literal

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from quart import Blueprint, request

from gateway.books.operations import count_unknown
from gateway.books.outbox import measure_backlog
from gateway.books.stops import count_stops
from gateway.books.tasks import count_open_tasks
from gateway.identity.client_uses import count_expiring
from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from schemas.networks import LOOPBACK, is_within
from schemas.times import now, now_micros

blueprint = Blueprint("health", __name__)

READY_TIMEOUT_S = 2
STANDS_FOR = timedelta(hours=24)  # what the gateway raises is never over: so long it counts as standing

log = structlog.get_logger()


class Health(msgspec.Struct, frozen=True):
    """The gateway can serve."""

    status: Literal["ok"] = "ok"


@blueprint.get("/healthz")
@endpoint(scope=None, limit=None, answers={200: Health})
async def live(call: Call[None, None]) -> Reply:
    """Liveness: the process answers."""
    return Reply(200, Health())


@blueprint.get("/readyz")
@endpoint(scope=None, limit="probes", answers={200: Health}, codes=("unavailable",))
async def ready(call: Call[None, None]) -> Reply:
    """Readiness: the books take a write, the vault answers. Kafka away does not stop sales.

    After a start, also: earlier verdicts and controls are read, or Kafka is away.
    """
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            answers = [await check() for check in call.runtime.ready]
    except Exception as error:
        log.warning("gateway.not_ready", reason=type(error).__name__)
        raise Problem("unavailable") from None
    if not all(answers):
        log.info("gateway.not_ready", reason="starting")
        raise Problem("unavailable", "Not ready yet.")
    return Reply(200, Health())


@blueprint.get("/metrics")
@endpoint(scope=None, limit="public", answers={200: str}, codes=("forbidden",))
async def metrics(call: Call[None, None]) -> Reply:
    """Metrics, in Prometheus' text format: for this machine, and for whom `SLUICE_METRICS_FROM` names."""
    if not _may_read_metrics(call):
        raise Problem("forbidden", "Metrics are for the operator's networks.")
    backlog = await call.runtime.books.read(measure_backlog)
    call.runtime.outbox_metrics.show(backlog.rows, backlog.since, now_micros())
    call.runtime.client_metrics.expiring.set(await count_expiring(call.runtime.books))
    unknown, tasks = await call.runtime.books.read(count_unknown), await call.runtime.books.read(count_open_tasks)
    call.runtime.unfinished_metrics.show(unknown, tasks, now_micros())
    call.runtime.stop_metrics.standing.set(await call.runtime.books.read(count_stops))
    call.runtime.alert_metrics.show(call.runtime.alerts.kinds_standing(now() - STANDS_FOR))
    call.runtime.vault_metrics.show(call.runtime.vault.serving)
    return Reply(200, generate_latest(call.runtime.metrics), {"Content-Type": CONTENT_TYPE_LATEST})


def _may_read_metrics(call: Call[None, None]) -> bool:
    # What a proxy on this machine hands on comes from elsewhere, whether SLUICE_PROXIES names the proxy or not.
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    allowed = call.runtime.settings.metrics_networks()
    return is_within(call.ip, allowed if is_forwarded else LOOPBACK + allowed)
