"""One vendor's port: listens, hands requests to the vendor's twin, and meets the faults that were ordered."""

import asyncio
import sqlite3

from aiohttp import web

from connectors.sandbox import misbehaviour
from connectors.sandbox.database import transaction
from connectors.sandbox.faults import Fault, Faults
from connectors.sandbox.misbehaviour import response
from connectors.sandbox.wire import Arrival, Call, Refusal, Reply, Twin

HOST = "127.0.0.1"


class Port:
    """Make it inside a running event loop; it is closed until `open`."""

    def __init__(self, number: int, twin: Twin, conn: sqlite3.Connection, faults: Faults) -> None:
        self._number = number
        self._twin = twin
        self._conn = conn
        self._faults = faults
        self._server = web.Server(self._answer, access_log=None)
        self._listener: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        if self._listener is None:
            self._listener = await asyncio.get_running_loop().create_server(self._server, HOST, self._number)

    def close(self) -> None:
        """Refuse connections from now on, and drop those that are open."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        arrival = Arrival(request.method, path, query, request.headers, await request.read())
        try:
            call = self._twin.read(arrival)
        except Refusal as refusal:
            return response(refusal.reply)
        fault = self._faults.meet(self._twin.name, call.kind)
        return response(self._run(call)) if fault is None else await self._meet(fault, request, call)

    async def _meet(self, fault: Fault, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        cleared = self._faults.cleared
        if fault.fault == "silence":
            return await misbehaviour.silence(request, cleared, fault.seconds)
        if fault.fault == "slow":  # it is applied even where the client has long gone
            await misbehaviour.wait(cleared, fault.seconds)
            return response(self._run(call))
        reply = self._run(call)
        match fault.fault:
            case "apply_then_silence":
                return await misbehaviour.silence(request, cleared, fault.seconds)
            case "apply_then_reset":
                return misbehaviour.reset(request)
            case "half_body":
                return await misbehaviour.half_body(request, reply)
            case "garbage":
                return response(misbehaviour.GARBAGE)
        return response(misbehaviour.SERVER_ERROR)

    def _run(self, call: Call) -> Reply:
        try:
            with transaction(self._conn):
                return call.run()
        except Refusal as refusal:
            return refusal.reply
