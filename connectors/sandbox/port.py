"""One vendor's port: listens, passes requests to the vendor's twin, and applies the faults in force."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

from aiohttp import web

from connectors.durable_files import GroupSync
from connectors.sandbox import fault_effects
from connectors.sandbox.browsers import refusal
from connectors.sandbox.fault_effects import response
from connectors.sandbox.faults import Fault, Faults
from connectors.sandbox.http_shapes import ReceivedRequest, Twin, TwinCall, TwinRefusal, TwinReply


class Port:
    """Create it inside a running event loop; it is closed until `open`."""

    def __init__(
        self,
        host: str,
        number: int,
        twin: Twin,
        conn: sqlite3.Connection,
        disk: GroupSync,
        faults: Faults,
        names: frozenset[str],
    ) -> None:
        self._host, self.number = host, number
        self._twin = twin
        self._conn, self._disk = conn, disk
        self._faults = faults
        self._names = names
        self._server = web.Server(self._answer, access_log=None)
        self._listener: asyncio.Server | None = None
        self._opening = asyncio.Lock()  # a fault may end by its time and by a request at once

    async def open(self) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        async with self._opening:
            if self._listener is None:
                loop = asyncio.get_running_loop()
                self._listener = await loop.create_server(self._server, self._host, self.number)

    def close(self) -> None:
        """Refuse new connections and drop the open ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if refused := refusal(request.method, request.headers, self._names):
            return refused.response()
        path, _, query = request.raw_path.partition("?")
        received = ReceivedRequest(request.method, path, query, request.headers, await request.read())
        try:
            call = self._twin.read(received)
        except TwinRefusal as refused_call:
            return response(refused_call.reply)
        fault = self._faults.meet(self._twin.name, call.kind)
        return response(await self._run(call)) if fault is None else await self._meet(fault, request, call)

    async def _meet(self, fault: Fault, request: web.BaseRequest, call: TwinCall) -> web.StreamResponse:
        cleared = self._faults.cleared
        match fault.fault:
            case "silence":
                return await fault_effects.silence(request, cleared, fault.seconds)
            case "slow":
                await fault_effects.wait(cleared, fault.seconds)
                return response(await self._run(call))  # applied even if its client has gone
            case "apply_then_silence":
                await self._run(call)
                return await fault_effects.silence(request, cleared, fault.seconds)
            case "apply_then_reset":
                await self._run(call)
                return fault_effects.reset(request)
            case "apply_then_500":
                await self._run(call)
                return response(fault_effects.SERVER_ERROR)
            case "half_body":
                return await fault_effects.half_body(request, await self._run(call))
            case "garbage":
                await self._run(call)
                return response(fault_effects.GARBAGE)
            case "refuse":
                raise AssertionError("a closed port takes no calls")
            case _:
                assert_never(fault.fault)

    async def _run(self, call: TwinCall) -> TwinReply:
        try:
            with transaction(self._conn):
                reply = call.run()
        except TwinRefusal as refused_call:
            reply = refused_call.reply
        await self._disk.synced()  # of a refusal too: it may tell what another call did
        return reply


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[None]:
    """Commit the block, or roll it back where it raises.

    All transactions run on the event loop, one after another, so no call sees another one half applied.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        conn.execute("ROLLBACK")
        raise
    conn.execute("COMMIT")
