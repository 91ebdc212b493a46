"""Whether the gateway lives, and whether it can serve."""

import asyncio

import msgspec
from quart import Blueprint

from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import Unavailable

blueprint = Blueprint("health", __name__)

READY_TIMEOUT_S = 2


class Health(msgspec.Struct, frozen=True):
    """`status` is `ok`."""

    status: str


@blueprint.get("/healthz")
@endpoint(scope=None, limit=None, answers={200: Health})
async def live(call: Call) -> Reply:
    """Say that the process answers."""
    return Reply(200, Health("ok"))


@blueprint.get("/readyz")
@endpoint(scope=None, limit=None, answers={200: Health}, codes=("unavailable",))
async def ready(call: Call) -> Reply:
    """Say that books and vault answer and the gateway has caught up. Kafka away does not stop sales."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            answers = [await check() for check in call.parts.ready]
    except Exception:
        raise Unavailable from None
    if not all(answers):
        raise Unavailable("Not ready yet.")
    return Reply(200, Health("ok"))
