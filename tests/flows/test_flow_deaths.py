"""A flow of which one thread died ends within 5 s."""

from collections.abc import Callable

import pytest

from tests.victims import FLOWS, Victim

PARTS = {
    "event loop": """
import asyncio
from connectors.logs import configure
from connectors.loop_thread import LoopThread
configure("notifications")
LoopThread().run(asyncio.sleep(600), lambda: print("ready", flush=True))
""",
    "teller": """
import asyncio
from connectors.logs import configure
from flows.notifications.flow import open_log, open_teller
from flows.notifications.settings import NotificationSettings
from schemas.settings import load
async def main():
    settings = load(NotificationSettings)
    teller = await open_teller(settings, open_log(settings))
    print("ready", flush=True)
    await asyncio.sleep(600)
configure("notifications")
asyncio.run(main())
""",
    "query guard": """
import time
from connectors.logs import configure
from flows.analytics.readers import Readers
from flows.analytics.settings import SqlSettings
from flows.analytics.warehouse import Warehouse
from schemas.settings import load
configure("sql")
settings = load(SqlSettings)
Warehouse(settings.file(), print).serve_guarded(f"quack:localhost:{settings.port('sql')}", Readers({}), settings)
print("ready", flush=True)
time.sleep(600)
""",
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_ends(name: str, victim: Callable[..., Victim]) -> None:
    one = victim(name, PARTS[name])
    one.killed(lambda: "ready" in one.said())
