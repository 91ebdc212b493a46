"""The catcher as its users meet it: SMTP in, Twilio's shape in, a page and JSON out."""

import asyncio
import signal
import smtplib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connectors.sandbox.catcher.__main__ import serve
from connectors.sandbox.catcher.inbox import KEPT, Inbox
from connectors.sandbox.catcher.settings import CatcherSettings
from tests.patience import eventually, until


@pytest.fixture
async def catcher(tmp_path: Path, free_offset: Callable[[], int]) -> AsyncIterator[CatcherSettings]:
    settings = CatcherSettings(data=tmp_path, port_offset=free_offset())
    stopped = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stopped))
    await eventually(lambda: is_healthy(settings, serving))
    yield settings
    stopped.set()
    await serving


async def is_healthy(settings: CatcherSettings, serving: asyncio.Task[None]) -> bool:
    if serving.done():
        await serving
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{settings.url('catcher')}/healthz") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientConnectorError:
        return False


def deliver(settings: CatcherSettings, mail: EmailMessage, *to: str) -> dict[str, Any]:
    with smtplib.SMTP("localhost", settings.port("smtp"), local_hostname="localhost") as smtp:
        return smtp.send_message(mail, "shop@example.com", list(to))


def a_mail(subject: str = "Grüße", html: str = "<p>Hi</p>") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "shop@example.com"
    mail["To"] = "ada@example.com"
    mail["Subject"] = subject
    mail["Message-ID"] = "<one@example.com>"
    mail.set_content("Hallo, ½ €")
    mail.add_alternative(html, subtype="html")
    return mail


async def messages(settings: CatcherSettings) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{settings.url('catcher')}/messages") as answer:
        assert answer.content_type == "application/json"
        body: dict[str, Any] = await answer.json()
        return body["data"]


async def sms(settings: CatcherSettings, token: str | None = None, **form: str) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession(headers=credentials(settings, token)) as session,
        session.post(messages_url(settings), data=form) as answer,
    ):
        return answer.status, await answer.json()


def credentials(settings: CatcherSettings, token: str | None = None) -> dict[str, str]:
    token = token or (settings.secrets() / "sms.token").read_text()
    return {"Authorization": aiohttp.encode_basic_auth(settings.sms_account, token)}


def messages_url(settings: CatcherSettings) -> str:
    return f"{settings.url('catcher')}/2010-04-01/Accounts/{settings.sms_account}/Messages.json"


async def test_a_mail_is_shown_as_it_was_sent(catcher: CatcherSettings) -> None:
    await asyncio.to_thread(deliver, catcher, a_mail(), "ada@example.com")
    (caught,) = await messages(catcher)
    received_at = caught.pop("received_at")
    assert received_at.endswith("Z")
    assert caught.pop("id").startswith("msg_")
    assert caught == {
        "channel": "email",
        "to": "ada@example.com",
        "from": "shop@example.com",
        "subject": "Grüße",
        "text": "Hallo, ½ €\n",
        "html": "<p>Hi</p>\n",
        "message_id": "<one@example.com>",
        "copies": 1,
    }


async def test_each_recipient_has_a_message_and_the_newest_is_first(catcher: CatcherSettings) -> None:
    await asyncio.to_thread(deliver, catcher, a_mail(), "ada@example.com", "bob@example.com")
    await sms(catcher, To="+15005550006", From="+15005550007", Body="Hi")
    assert [(m["channel"], m["to"]) for m in await messages(catcher)] == [
        ("sms", "+15005550006"),
        ("email", "bob@example.com"),
        ("email", "ada@example.com"),
    ]


async def test_a_mail_that_comes_twice_is_one_message_with_two_copies(catcher: CatcherSettings) -> None:
    for to in ("ada@example.com", "ada@example.com", "bob@example.com"):
        await asyncio.to_thread(deliver, catcher, a_mail(), to)
    copies = [(m["to"], m["copies"]) for m in await messages(catcher)]
    assert copies == [("bob@example.com", 1), ("ada@example.com", 2)]


async def test_some_mailboxes_refuse_as_real_ones_do(catcher: CatcherSettings) -> None:
    to = ["bounce@example.com", "full@example.com", "busy@example.com", "ada@example.com"]
    refused = await asyncio.to_thread(deliver, catcher, a_mail(), *to)
    assert {address: code for address, (code, _) in refused.items()} == {to[0]: 550, to[1]: 552, to[2]: 451}
    assert [m["to"] for m in await messages(catcher)] == ["ada@example.com"]


async def test_a_mail_of_an_unknown_charset_is_caught_without_its_text(catcher: CatcherSettings) -> None:
    mail = EmailMessage()
    mail["Subject"] = "odd"
    mail.set_content("odd")
    mail.replace_header("Content-Type", 'text/plain; charset="klingon"')
    await asyncio.to_thread(deliver, catcher, mail, "ada@example.com")
    assert [(m["subject"], m["text"]) for m in await messages(catcher)] == [("odd", "")]


async def test_a_short_message_is_queued_and_found_again(catcher: CatcherSettings) -> None:
    status, body = await sms(catcher, To="+15005550006", From="+15005550007", Body="Hi")
    assert (status, body["status"], body["sid"][:2], len(body["sid"])) == (201, "queued", "SM", 34)
    url = messages_url(catcher)
    async with aiohttp.ClientSession(headers=credentials(catcher)) as session:
        for to, sids in (("+15005550006", [body["sid"]]), ("+15005550008", [])):
            async with session.get(url, params={"To": to}) as answer:
                assert [m["sid"] for m in (await answer.json())["messages"]] == sids
        async with session.get(url, params={"DateSent>": "2999-01-01"}) as answer:
            assert (await answer.json())["messages"] == []


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"From": "+15005550006", "Body": "Hi"}, 400, 21604),
        ({"To": "+15005550006", "Body": "Hi"}, 400, 21603),
        ({"To": "+15005550006", "From": "+15005550006", "Body": " "}, 400, 21602),
        ({"To": "+15005550006", "From": "+15005550006", "Body": "x" * 1601}, 400, 21617),
        ({"To": "0170 1234", "From": "+15005550006", "Body": "Hi"}, 400, 21211),
        ({"To": "+15005550001", "From": "+15005550006", "Body": "Hi"}, 400, 21211),
        ({"To": "+15005550004", "From": "+15005550006", "Body": "Hi"}, 400, 21610),
    ],
)
async def test_refusals_have_the_vendors_shape(
    catcher: CatcherSettings, form: dict[str, str], status: int, code: int
) -> None:
    answered, body = await sms(catcher, **form)
    assert (answered, body["code"], body["status"]) == (status, code, status)
    assert body["message"]
    assert body["more_info"].endswith(str(code))
    assert await messages(catcher) == []


async def test_a_wrong_token_is_refused(catcher: CatcherSettings) -> None:
    status, body = await sms(catcher, token="wrong", To="+15005550006", From="+15005550006", Body="Hi")
    assert (status, body["code"]) == (401, 20003)


async def test_the_page_runs_nothing_that_came_in(catcher: CatcherSettings) -> None:
    evil = "<script>alert(1)</script>"
    await asyncio.to_thread(deliver, catcher, a_mail(subject=evil, html=evil + '"><b>x'), "ada@example.com")
    (caught,) = await messages(catcher)
    url = f"{catcher.url('catcher')}/?id={caught['id']}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        page = await answer.text()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert '<iframe sandbox title="The message" srcdoc="&lt;script' in page


async def test_the_empty_page_says_so(catcher: CatcherSettings) -> None:
    async with aiohttp.ClientSession() as session, session.get(catcher.url("catcher")) as answer:
        assert "Nothing caught yet" in await answer.text()


def test_the_oldest_message_gives_way() -> None:
    inbox = Inbox()
    for number in range(KEPT + 1):
        inbox.take_sms("+15005550006", "+15005550007", str(number), f"SM{number}")
    assert len(inbox) == KEPT
    assert [m.text for m in inbox][-1] == "1"


def test_the_process_starts_logs_no_address_and_stops(tmp_path: Path, free_offset: Callable[[], int]) -> None:
    offset = free_offset()
    environment = {"SLUICE_DATA": str(tmp_path), "SLUICE_PORT_OFFSET": str(offset), "PATH": ""}
    command = [sys.executable, "-m", "connectors.sandbox.catcher"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        settings = CatcherSettings(data=tmp_path, port_offset=offset)
        until(lambda: process.poll() is not None or listens(settings.port("catcher")))
        deliver(settings, a_mail(), "ada@example.com")
        with urllib.request.urlopen(f"{settings.url('catcher')}/messages") as answer:
            assert b"ada@example.com" in answer.read()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"catcher.ready" in output
    assert b"ada@" not in output


def listens(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), 1).close()
    except OSError:
        return False
    return True


async def test_no_other_page_reads_what_was_caught(catcher: CatcherSettings) -> None:
    await asyncio.to_thread(deliver, catcher, a_mail("A link to set your password"), "ada@example.com")
    page = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    foreign = [
        ({"Host": f"evil.example:{catcher.port('catcher')}"}, 421, "foreign_host"),
        ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "same-site", **page, "Sec-Fetch-Dest": "iframe"}, 403, "foreign_origin"),
    ]
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/messages"):
            for headers, status, code in foreign:
                async with session.get(catcher.url("catcher") + path, headers=headers) as refused:
                    assert (refused.status, (await refused.json())["code"]) == (status, code)
            for headers in ({}, {"Sec-Fetch-Site": "none", **page}):
                async with session.get(catcher.url("catcher") + path, headers=headers) as answer:
                    assert "A link to set your password" in await answer.text()
