"""The mailer against a real SMTP server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from connectors.delivery import DeliveryRefused, NotDelivered, ServerAway, TryLater
from connectors.mail import Mail, Mailer, MailServer, build

MAIL = Mail("ada@example.com", "Receipt", "12.34", "<b>12.34</b>", "evt_1", {"X-Sluice-Sequence": "4"})


class Postbox:
    """aiosmtpd's handler: keeps mails, counts connections, refuses what it is told to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.connections = 0
        self.recipients = set[str]()
        self.recipient = self.sender = "250 OK"
        self.data = "250 OK"
        self.hangs = False
        self.hung = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address if self.sender.startswith("250") else None
        return self.sender

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        if self.hangs:
            self.hung.set()
            await asyncio.sleep(60)
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
            self.recipients.add(address)
        return self.recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data.startswith("250") and isinstance(envelope.content, bytes):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.data


class Watched(SMTP):
    """Tells the postbox when a connection is gone."""

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.hung_up.set()


async def listen(postbox: Postbox, port: int = 0, **options: Any) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Watched(postbox, hostname="localhost", loop=loop, **options), "127.0.0.1", port
    )


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def mailer_to(port: int, **options: Any) -> Mailer:
    return Mailer(MailServer("127.0.0.1", port, "Shop <shop@example.com>", tls="none", **options))


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
async def mailer(postbox: Postbox) -> AsyncIterator[Mailer]:
    server = await listen(postbox)
    mailer = mailer_to(port_of(server), connections=2)
    yield mailer
    await mailer.close()
    server.close()


async def test_a_mail_arrives_with_both_texts_and_its_marks(postbox: Postbox, mailer: Mailer) -> None:
    await mailer.send(MAIL)
    (mail,) = postbox.mails
    assert mail["Message-ID"] == "<evt_1@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Sluice-Sequence"] == "4"
    assert mail["From"] == "Shop <shop@example.com>"
    texts = {part.get_content_type(): part.get_content().strip() for part in mail.iter_parts()}
    assert texts == {"text/plain": "12.34", "text/html": "<b>12.34</b>"}


async def test_connections_are_kept_and_few(postbox: Postbox, mailer: Mailer) -> None:
    await asyncio.gather(*(mailer.send(MAIL) for _ in range(20)))
    assert len(postbox.mails) == 20
    assert postbox.connections == 2


@pytest.mark.parametrize(
    ("recipient", "data", "kind", "reason"),
    [
        ("550 5.1.1 No such mailbox: ada@example.com", "250 OK", DeliveryRefused, "smtp_550"),
        ("451 4.3.0 Try again", "250 OK", TryLater, "smtp_451"),
        ("250 OK", "554 5.7.1 Spam", DeliveryRefused, "smtp_554"),
        ("250 OK", "452 4.3.1 Full", TryLater, "smtp_452"),
        ("421 4.3.2 Closing", "250 OK", TryLater, "smtp_421"),
    ],
)
async def test_4xx_is_for_later_and_5xx_is_final(
    postbox: Postbox, mailer: Mailer, recipient: str, data: str, kind: type[NotDelivered], reason: str
) -> None:
    postbox.recipient, postbox.data = recipient, data
    with pytest.raises(kind) as refused:
        await mailer.send(MAIL)
    assert str(refused.value) == reason
    postbox.recipient = postbox.data = "250 OK"
    await mailer.send(MAIL)
    assert len(postbox.mails) == 1


async def test_a_mail_that_is_broken_off_spoils_no_other_one(postbox: Postbox, mailer: Mailer) -> None:
    postbox.hangs = True
    sending = asyncio.create_task(mailer.send(MAIL))
    await postbox.hung.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    postbox.hangs = False
    await mailer.send(MAIL)
    assert (len(postbox.mails), postbox.connections) == (1, 2)


async def test_a_mailbox_that_refuses_costs_no_connection(postbox: Postbox, mailer: Mailer) -> None:
    postbox.recipient = "451 4.3.0 Try again"
    for _ in range(5):
        with pytest.raises(TryLater):
            await mailer.send(MAIL)
    assert postbox.connections <= 2


async def test_a_sender_that_is_refused_is_no_fault_of_the_mail(postbox: Postbox, mailer: Mailer) -> None:
    postbox.sender = "550 5.7.1 Who are you?"
    with pytest.raises(ServerAway, match="smtp_550"):
        await mailer.send(MAIL)


@pytest.mark.parametrize("answer", ["530 5.7.0 Authentication required", "535 5.7.8 Credentials expired"])
async def test_a_login_that_is_wanted_at_the_recipient_is_no_fault_of_theirs(
    postbox: Postbox, mailer: Mailer, answer: str
) -> None:
    postbox.recipient = answer
    with pytest.raises(ServerAway, match=f"smtp_{answer[:3]}"):
        await mailer.send(MAIL)


async def test_a_server_that_is_away_is_for_later_and_found_again(postbox: Postbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    mailer = mailer_to(port)
    with pytest.raises(ServerAway, match="smtp_unreachable"):
        await mailer.send(MAIL)
    server = await listen(postbox, port)
    await mailer.send(MAIL)
    await mailer.close()
    server.close()
    assert len(postbox.mails) == 1


async def test_a_connection_the_server_dropped_is_made_anew(postbox: Postbox) -> None:
    server = await listen(postbox, timeout=0.2)
    mailer = mailer_to(port_of(server), connections=1)
    await mailer.send(MAIL)
    await postbox.hung_up.wait()
    with suppress(TryLater):  # at most the mail that meets the closing connection has to wait
        await mailer.send(MAIL)
        postbox.mails.pop()
    await mailer.send(MAIL)
    await mailer.close()
    server.close()
    assert (len(postbox.mails), postbox.connections) == (2, 2)


async def test_wrong_credentials_lose_no_mail(postbox: Postbox) -> None:
    def refuse(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    server = await listen(postbox, authenticator=refuse, auth_require_tls=False)
    mailer = mailer_to(port_of(server), user="shop", password="wrong")
    with pytest.raises(TryLater, match="smtp_535"):
        await mailer.send(MAIL)
    await mailer.close()
    server.close()


async def test_encryption_that_is_not_offered_is_not_done_without(postbox: Postbox) -> None:
    server = await listen(postbox)
    mailer = Mailer(MailServer("127.0.0.1", port_of(server), "shop@example.com"))
    with pytest.raises(TryLater):
        await mailer.send(MAIL)
    await mailer.close()
    server.close()
    assert postbox.mails == []


def test_a_subject_cannot_begin_a_header() -> None:
    mail = Mail("ada@example.com", "Hi\r\nBcc: eve@example.com", "", "", "evt_1")
    message = build(mail, "shop@example.com")
    assert message["Subject"] == "Hi Bcc: eve@example.com"
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    "to",
    ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com,eve@example.com", "Ada <ada@b.de>", ""],
)
def test_an_address_is_one_address(to: str) -> None:
    with pytest.raises(DeliveryRefused, match="mail_malformed"):
        build(Mail(to, "Hi", "", "", "evt_1"), "shop@example.com")


async def test_a_domain_of_any_script_is_reached_by_a_server_without_smtputf8(
    postbox: Postbox, mailer: Mailer
) -> None:
    for domain in ("bücher.example", "BÜCHER.example", "xn--bcher-kva.example"):
        await mailer.send(Mail(f"user@{domain}", "Hi", "", "", "evt_1"))
    assert {mail["To"].lower() for mail in postbox.mails} == {"user@xn--bcher-kva.example"}
    assert postbox.recipients == {"user@xn--bcher-kva.example"}
    await mailer.send(Mail("user@straße.de", "Hi", "", "", "evt_1"))
    assert "user@xn--strae-oqa.de" in postbox.recipients  # by IDNA 2008: strasse.de is somebody else's


async def test_a_mailbox_of_another_script_needs_smtputf8_and_is_refused_without(
    postbox: Postbox, mailer: Mailer
) -> None:
    for to in ("jörg@example.com", "用户@bücher.example"):
        with pytest.raises(DeliveryRefused, match="mail_no_smtputf8"):
            await mailer.send(Mail(to, "Hi", "", "", "evt_1"))
    await mailer.send(MAIL)
    assert len(postbox.mails) == 1
    assert postbox.connections == 1  # the refusal costs no connection


async def test_a_sender_of_another_script_is_no_fault_of_the_mail(postbox: Postbox) -> None:
    server = await listen(postbox)
    for sender, reason in (("Bücher <post@bücher.example>", None), ("jörg@example.com", "smtp_no_smtputf8")):
        mailer = Mailer(MailServer("127.0.0.1", port_of(server), sender, tls="none"))
        with pytest.raises(ServerAway, match=reason) if reason else nullcontext():
            await mailer.send(MAIL)
        await mailer.close()
    server.close()
    (mail,) = postbox.mails
    assert mail["From"] == "Bücher <post@xn--bcher-kva.example>"
    assert mail["Message-ID"] == "<evt_1@xn--bcher-kva.example>"


async def test_a_domain_that_is_none_is_refused(mailer: Mailer) -> None:
    with pytest.raises(DeliveryRefused, match="mail_malformed"):
        await mailer.send(Mail("user@b\u2027ücher..example", "Hi", "", "", "evt_1"))


async def test_every_script_arrives(postbox: Postbox) -> None:
    server = await listen(postbox, enable_SMTPUTF8=True)
    mailer = mailer_to(port_of(server))
    await mailer.send(Mail("jörg@example.com", "Größe 12,34\u00a0€ 你好", "¡½ 你好!", "<p>¡½ 你好!</p>", "evt_1"))
    await mailer.close()
    server.close()
    (mail,) = postbox.mails
    assert "jörg@example.com" in mail["To"]
    assert mail["Subject"] == "Größe 12,34 € 你好"
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["¡½ 你好!", "<p>¡½ 你好!</p>"]
