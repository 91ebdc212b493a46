"""The texter against a server that answers as Twilio does, or as it should not."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from connectors.delivery import DeliveryRefused, NotDelivered, ServerAway, TryLater
from connectors.sandbox.catcher.inbox import Inbox
from connectors.sandbox.catcher.twilio import twilio_routes
from connectors.sms import SmsAccount, Texter, new_token

ACCOUNT, TOKEN, FROM, TO = "AC1", "t0ken", "+15005550006", "+4917012345678"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def listen(routes: list[web.RouteDef]) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def texter(inbox: Inbox) -> AsyncIterator[Texter]:
    runner, url = await listen(twilio_routes(inbox, ACCOUNT, TOKEN))
    texter = Texter(SmsAccount(url, ACCOUNT, TOKEN, FROM))
    yield texter
    await texter.close()
    await runner.cleanup()


@pytest.fixture
async def answering() -> AsyncIterator[Callable[[Handler], Awaitable[Texter]]]:
    """A texter whose every request is answered by one handler."""
    opened: list[tuple[Texter, web.AppRunner]] = []

    async def open_texter(handler: Handler) -> Texter:
        runner, url = await listen([web.route("*", "/{path:.*}", handler)])
        opened.append((Texter(SmsAccount(url, ACCOUNT, TOKEN, FROM)), runner))
        return opened[-1][0]

    yield open_texter
    for texter, runner in opened:
        await texter.close()
        await runner.cleanup()


async def test_a_message_arrives_and_has_a_sid(inbox: Inbox, texter: Texter) -> None:
    sid = await texter.send(TO, "Grüße & 1+1=2")
    (message,) = inbox
    assert (message.message_id, message.to, message.sender, message.text) == (sid, TO, FROM, "Grüße & 1+1=2")


async def test_what_was_sent_is_found_and_nothing_else(texter: Texter) -> None:
    sid = await texter.send(TO, "one")
    assert await texter.find(TO, "one") == sid
    assert await texter.find(TO, "two") is None
    assert await texter.find("+4917012345679", "one") is None


async def test_what_was_sent_is_found_among_many_others_to_the_number(texter: Texter) -> None:
    """More than a page has unless a longer one is asked for."""
    sid = await texter.send(TO, "one")
    for number in range(60):
        await texter.send(TO, f"another {number}")
    assert await texter.find(TO, "one") == sid


async def test_a_number_the_vendor_refuses_is_final(inbox: Inbox, texter: Texter) -> None:
    with pytest.raises(DeliveryRefused) as refused:
        await texter.send("+15005550001", "Hi")
    assert str(refused.value) == "sms_21211"
    assert list(inbox) == []


async def test_wrong_credentials_lose_no_message(inbox: Inbox) -> None:
    runner, url = await listen(twilio_routes(inbox, ACCOUNT, TOKEN))
    texter = Texter(SmsAccount(url, ACCOUNT, new_token().decode(), FROM))
    with pytest.raises(ServerAway, match="sms_20003"):
        await texter.send(TO, "Hi")
    await texter.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (429, '{"code": 20429}', ServerAway, "sms_20429"),
        (503, "<html>", ServerAway, "sms_503"),
        (500, "<html>", TryLater, "sms_500"),
        (400, "[]", TryLater, "sms_400"),
        (400, '{"code": "nonsense"}', TryLater, "sms_400"),
        (400, f'{{"code": {"9" * 4000}}}', TryLater, "sms_400"),
        (503, "[" * 100_000, ServerAway, "sms_503"),
        (201, '{"of": ' + "[" * 100_000, TryLater, "sms_unreadable"),
        (503, "x" * 2_000_000, TryLater, "sms_unreadable"),
        (302, "", ServerAway, "sms_302"),
        (204, "", ServerAway, "sms_204"),
        (404, "<html>", ServerAway, "sms_404"),
        (201, "garbage", TryLater, "sms_unreadable"),
        (201, "{}", TryLater, "sms_unreadable"),
        (201, "[]", TryLater, "sms_unreadable"),
    ],
)
async def test_answers_nobody_documents(
    answering: Callable[[Handler], Awaitable[Texter]],
    status: int,
    body: str,
    kind: type[NotDelivered],
    reason: str,
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/elsewhere"} if status == 302 else {})

    texter = await answering(handler)
    with pytest.raises(kind) as refused:
        await texter.send(TO, "Hi")
    assert (type(refused.value), str(refused.value)) == (kind, reason)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, 20404, ServerAway),  # no such account
        (402, 20005, ServerAway),  # it is suspended
        (400, 10001, ServerAway),
        (400, 20003, ServerAway),
        (400, 21606, ServerAway),  # our number is none that can send
        (400, 21212, ServerAway),
        (400, 21659, ServerAway),
        (400, 21408, TryLater),  # we may not send to this country: others may be in another one
        (400, 21608, TryLater),
        (400, 29999, TryLater),
        (500, 20500, TryLater),
        (400, 21211, DeliveryRefused),
        (403, 21610, DeliveryRefused),
        (400, 21614, DeliveryRefused),
        (400, 21635, DeliveryRefused),
        (400, 21617, DeliveryRefused),
    ],
)
async def test_only_what_is_due_to_the_recipient_is_final(
    answering: Callable[[Handler], Awaitable[Texter]], status: int, code: int, kind: type[NotDelivered]
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"code": code, "status": status}, status=status)

    texter = await answering(handler)
    with pytest.raises(kind) as refused:
        await texter.send(TO, "Hi")
    assert (type(refused.value), str(refused.value)) == (kind, f"sms_{code}")


@pytest.mark.parametrize(
    "date", ["Thu, 27 Nov 2031 01:00:00 -0000", "Thu, 27 Nov 2008 01:00:00 +0000", "yesterday", None]
)
async def test_a_text_whose_answer_was_lost_is_found_again_whatever_the_clocks_say(
    answering: Callable[[Handler], Awaitable[Texter]], date: str | None
) -> None:
    sent: list[dict[str, Any]] = []

    async def take_and_hang_up(request: web.Request) -> web.Response:
        if request.method == "GET":
            assert not any("Date" in name for name in request.query)
            return web.json_response({"messages": sent})
        form = await request.post()
        sent.append({"sid": "SM1", "body": form["Body"], "date_created": date})
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    texter = await answering(take_and_hang_up)
    with pytest.raises(TryLater, match="sms_unreachable"):
        await texter.send(TO, "Hi")
    assert await texter.find(TO, "Hi") == "SM1"


async def test_a_connection_that_breaks_is_for_later(answering: Callable[[Handler], Awaitable[Texter]]) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    texter = await answering(hang_up)
    with pytest.raises(TryLater, match="sms_unreachable"):
        await texter.send(TO, "Hi")
