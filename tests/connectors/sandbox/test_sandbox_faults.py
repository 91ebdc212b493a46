"""The eight faults, as a client on the wire meets them."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from schemas.ids import new_id
from tests.connectors.sandbox.conftest import Eventually
from tests.connectors.sandbox.process import SandboxProcess
from tests.connectors.sandbox.wires import Control, Mastercard, PayPal, Visa

SHORT_S = 0.5  # how long a test waits to call a connection silent
LONG_S = 60  # how long it waits for what must come

UNREADABLE = "codec can't decode"  # how json refuses the garbage
BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)


async def refuses(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


def met(control: Control) -> Callable[[], Awaitable[bool]]:
    """Whether every fault that was ordered has met its call."""

    async def none_is_left() -> bool:
        return (await control.get("/faults"))["data"] == []

    return none_is_left


class Raw(contextlib.AbstractAsyncContextManager["Raw"]):
    """A payment sent over a bare socket, to see what exactly comes back."""

    def __init__(self, visa: Visa, reference: str) -> None:
        self._visa, self._body = visa, json.dumps(visa.payment(reference)).encode()

    async def __aenter__(self) -> "Raw":
        _host, port = self._visa.host.split(":")
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", int(port))
        headers = self._visa.headers("POST", "/pts/v2/payments", self._body)
        headers |= {"Host": self._visa.host, "Content-Length": str(len(self._body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"POST /pts/v2/payments HTTP/1.1\r\n{lines}\r\n".encode() + self._body)
        await self.writer.drain()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def test_refuse_closes_the_port_and_its_open_connections(
    visa: Visa, mastercard: Mastercard, control: Control, sandbox: SandboxProcess, reference: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port("visa"))
    await control.fault(processor="visa", fault="silence")
    async with Raw(visa, reference) as held:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(held.reader.read(1), SHORT_S)
        assert (await control.fault(processor="visa", fault="refuse")).status == 201
        for connection in (reader, held.reader):
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(connection.read(), LONG_S) == b""
    writer.close()
    assert await refuses(sandbox.port("visa"))
    with pytest.raises(aiohttp.ClientConnectorError):
        await visa.pay(reference)
    assert (await mastercard.pay(reference)).status == 201  # the other ports stay open
    assert await control.clear() == 204
    assert not await refuses(sandbox.port("visa"))
    assert (await visa.pay(reference)).status == 201


async def test_refuse_may_be_ended_by_several_at_once(control: Control, sandbox: SandboxProcess) -> None:
    await control.fault(processor="visa", fault="refuse")
    assert await asyncio.gather(*(control.clear() for _ in range(8))) == [204] * 8
    assert not await refuses(sandbox.port("visa"))


async def test_refuse_ends_after_its_seconds(
    eventually: Eventually, control: Control, sandbox: SandboxProcess
) -> None:
    await control.fault(processor="paypal", fault="refuse", seconds=1)
    assert await refuses(sandbox.port("paypal"))

    async def open_again() -> bool:
        return not await refuses(sandbox.port("paypal"))

    await eventually(open_again)
    assert (await control.get("/faults"))["data"] == []


async def test_a_closed_port_counts_nothing(control: Control, sandbox: SandboxProcess) -> None:
    assert (await control.fault(processor="paypal", fault="refuse", times=1))["times"] is None
    for _ in range(2):
        assert await refuses(sandbox.port("paypal"))


async def test_of_two_refusals_the_longer_one_counts(
    eventually: Eventually, control: Control, sandbox: SandboxProcess
) -> None:
    await control.fault(processor="paypal", fault="refuse")
    await control.fault(processor="paypal", fault="refuse", seconds=0.1)

    async def one_is_over() -> bool:
        return len((await control.get("/faults"))["data"]) == 1

    await eventually(one_is_over)
    assert await refuses(sandbox.port("paypal"))


async def test_silence_applies_nothing_and_holds_the_connection(
    visa: Visa, control: Control, reference: str
) -> None:
    await control.fault(processor="visa", fault="silence", times=1)
    async with Raw(visa, reference) as call:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.reader.read(1), SHORT_S)
        assert await control.rows(reference) == []
        await control.clear()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(call.reader.read(), LONG_S) == b""  # let go, without an answer
    assert await control.rows(reference) == []
    assert (await visa.pay(reference)).status == 201


async def test_silence_ends_after_its_seconds(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", fault="silence", seconds=0.2)
    with pytest.raises(BROKEN):
        await visa.pay(reference)
    assert await control.rows(reference) == []


async def test_apply_then_silence_takes_the_money(
    eventually: Eventually, visa: Visa, control: Control, reference: str
) -> None:
    async def applied() -> bool:
        return bool(await control.moves(reference) == [("sale", 1000, "applied")])

    await control.fault(processor="visa", fault="apply_then_silence")
    async with Raw(visa, reference) as call:
        await eventually(applied)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.reader.read(1), SHORT_S)


async def test_apply_then_reset_takes_the_money_and_resets(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", fault="apply_then_reset")
    async with Raw(visa, reference) as call:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(call.reader.read(), LONG_S)
    assert await control.moves(reference) == [("sale", 1000, "applied")]


async def test_apply_then_500_takes_the_money(
    mastercard: Mastercard, control: Control, http: aiohttp.ClientSession, reference: str
) -> None:
    await control.fault(processor="mastercard", fault="apply_then_500")
    url = f"{mastercard.merchant_url}/order/{reference}/transaction/a"
    card = {"number": "5123450000000008", "expiry": {"month": "01", "year": "39"}}
    body = {
        "apiOperation": "PAY",
        "order": {"amount": "10.00", "currency": "EUR"},
        "sourceOfFunds": {"type": "CARD", "provided": {"card": card}},
    }
    headers = {"Authorization": aiohttp.encode_basic_auth("merchant.SLUICE", "sandbox")}
    async with http.put(url, json=body, headers=headers) as answer:
        assert answer.status == 500
        assert answer.content_type == "text/plain"
    assert await control.moves(reference) == [("sale", 1000, "applied")]


async def test_slow_applies_late_even_where_the_client_has_gone(
    eventually: Eventually, visa: Visa, control: Control, reference: str
) -> None:
    await control.fault(processor="visa", fault="slow", seconds=600, times=1)
    async with Raw(visa, reference):
        pass  # hangs up at once
    await eventually(met(control))
    assert await control.rows(reference) == []
    await control.clear()

    async def applied() -> bool:
        return bool(await control.moves(reference) == [("sale", 1000, "applied")])

    await eventually(applied)


async def test_slow_answers_in_the_end(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", fault="slow", seconds=0.3)
    begun = time.monotonic()
    assert (await visa.pay(reference))["status"] == "AUTHORIZED"
    assert time.monotonic() - begun >= 0.3


async def test_clearing_lets_a_slow_call_through(
    eventually: Eventually, visa: Visa, control: Control, reference: str
) -> None:
    await control.fault(processor="visa", fault="slow", seconds=600, times=1)
    call = asyncio.create_task(visa.pay(reference))
    await eventually(met(control))
    await control.clear()
    assert (await asyncio.wait_for(call, LONG_S)).status == 201


async def test_half_a_body_takes_the_money(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", fault="half_body")
    async with Raw(visa, reference) as call:
        answer = await asyncio.wait_for(call.reader.read(), LONG_S)
    head, _, body = answer.partition(b"\r\n\r\n")
    [length] = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    assert head.startswith(b"HTTP/1.1 201")
    assert 0 < len(body) < length
    assert await control.moves(reference) == [("sale", 1000, "applied")]


async def test_garbage_takes_the_money(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", fault="garbage")
    async with Raw(visa, reference) as call:
        answer = await asyncio.wait_for(call.reader.readuntil(b"</html"), LONG_S)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"text/html" in answer
    assert await control.moves(reference) == [("sale", 1000, "applied")]


async def test_times_counts_the_calls_that_meet_a_fault(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", fault="apply_then_reset", times=2)
    for left in (1, None):
        with pytest.raises(BROKEN):
            await visa.pay(reference)
        faults = (await control.get("/faults"))["data"]
        assert [fault["times"] for fault in faults] == ([left] if left else [])
    assert (await visa.pay(reference)).status == 201
    assert len(await control.rows(reference)) == 3


async def test_authorize_means_a_sale_too_and_nothing_else(visa: Visa, control: Control, reference: str) -> None:
    await control.fault(processor="visa", operation="authorize", fault="garbage")
    for capture in (True, False):
        with pytest.raises(ValueError, match=UNREADABLE):
            await visa.pay(reference, capture=capture)
    [sale, _held] = await visa.search(f"clientReferenceInformation.code:{reference}")
    assert (await visa.follow(f"payments/{sale['id']}/refunds", reference, "1.00")).status == 201


async def test_an_operation_meets_only_its_own_faults(
    visa: Visa, mastercard: Mastercard, control: Control, reference: str
) -> None:
    await control.fault(processor="visa", operation="capture", fault="garbage")
    await control.fault(processor="visa", operation="sale", fault="garbage")
    payment = await visa.pay(reference, capture=False)
    path = f"payments/{payment['id']}/captures"
    with pytest.raises(ValueError, match=UNREADABLE):
        await visa.follow(path, reference, "1.00")
    with pytest.raises(ValueError, match=UNREADABLE):
        await visa.pay(reference)
    assert (await mastercard.pay(reference)).status == 201


async def test_void_means_a_reversal_too_and_a_reversal_no_void(
    visa: Visa, control: Control, reference: str
) -> None:
    held, sale = await visa.pay(reference, capture=False), await visa.pay(reference)
    await control.fault(processor="visa", operation="reversal", fault="garbage")
    assert (await visa.follow(f"payments/{sale['id']}/voids", reference)).status == 201
    await control.clear()
    await control.fault(processor="visa", operation="void", fault="garbage")
    with pytest.raises(ValueError, match=UNREADABLE):
        await visa.follow(f"payments/{held['id']}/reversals", reference, "10.00")
    assert (await control.moves(reference))[-1] == ("reversal", 1000, "applied")


async def test_a_look_up_meets_a_fault_only_where_it_is_named(
    visa: Visa, control: Control, reference: str
) -> None:
    await control.fault(processor="visa", fault="garbage")
    assert await visa.search(f"clientReferenceInformation.code:{reference}") == []
    await control.fault(processor="visa", operation="lookup", fault="garbage")
    with pytest.raises(ValueError, match=UNREADABLE):
        await visa.search(f"clientReferenceInformation.code:{reference}")


async def test_a_bad_signature_meets_no_fault(visa: Visa, control: Control, http: aiohttp.ClientSession) -> None:
    await control.fault(processor="visa", fault="garbage", times=1)
    async with http.post(f"http://{visa.host}/pts/v2/payments", data=b"{}") as answer:
        assert answer.status == 401
    assert (await control.get("/faults"))["data"][0]["times"] == 1


@pytest.fixture
async def approved(paypal: PayPal, reference: str) -> str:
    return str(await paypal.approved(reference))


async def test_paypal_replays_what_it_could_not_say(
    paypal: PayPal, control: Control, reference: str, approved: str
) -> None:
    await control.fault(processor="paypal", operation="authorize", fault="apply_then_reset", times=1)
    path, id = f"/v2/checkout/orders/{approved}/authorize", new_id("op")
    with pytest.raises(BROKEN):
        await paypal.call("POST", path, {}, id)
    answer = await paypal.call("POST", path, {}, id)
    assert (answer.status, answer["status"]) == (200, "COMPLETED")
    assert await control.moves(reference) == [("authorize", 1000, "applied")]


async def test_creating_an_order_meets_a_fault_of_its_own(
    paypal: PayPal, control: Control, reference: str
) -> None:
    await control.fault(processor="paypal", operation="order", fault="garbage")
    with pytest.raises(ValueError, match=UNREADABLE):
        await paypal.create(reference)
    assert await control.rows(reference) == []


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ({"processor": "amex", "fault": "slow", "seconds": 1}, "processor"),
        ({"fault": "slow", "seconds": 1}, ""),
        ({"processor": "visa", "fault": "explode"}, "fault"),
        ({"processor": "visa", "fault": "garbage", "operation": "dance"}, "operation"),
        ({"processor": "visa", "fault": "garbage", "times": 0}, "times"),
        ({"processor": "visa", "fault": "garbage", "times": "x"}, "times"),
        ({"processor": "visa", "fault": "garbage", "seconds": 1}, "seconds"),
        ({"processor": "visa", "fault": "slow"}, "seconds"),
        ({"processor": "visa", "fault": "slow", "seconds": -1}, "seconds"),
        ({"processor": "visa", "fault": "refuse", "operation": "sale"}, "operation"),
        ({"processor": "visa", "fault": "refuse", "surprise": 1}, ""),
    ],
    ids=str,
)
async def test_a_fault_that_makes_no_sense_is_refused(control: Control, fault: dict[str, Any], path: str) -> None:
    answer = await control.fault(**fault)
    assert (answer.status, answer["code"], answer["errors"][0]["path"]) == (422, "invalid_request", path)
    assert answer["errors"][0]["message"]
    assert (await control.get("/faults"))["data"] == []


async def test_a_body_that_is_not_json_is_refused(
    control: Control, http: aiohttp.ClientSession, sandbox: SandboxProcess
) -> None:
    async with http.post(f"{sandbox.url('sandbox')}/_sandbox/faults", data=b"{nonsense") as answer:
        assert (answer.status, answer.content_type) == (422, "application/problem+json")
