"""The SMTP side of the catcher: accepts every mail, except to the mailboxes that simulate a refusal or silence."""

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from connectors.sandbox.catcher.inbox import Inbox

SIZE_MAX = 256 * 1024  # bytes of one mail: with `inbox.KEPT` it bounds the memory

# Local parts that answer RCPT TO as a real server would (RFC 5321 §4.2.3, RFC 3463); `busy+17` is a mailbox of its
# own that answers as `busy` does.
REFUSALS = {
    "bounce": "550 5.1.1 No such mailbox",
    "full": "552 5.2.2 Mailbox full",
    "busy": "451 4.3.0 Try again later",
}
HANGING = "hang"  # RCPT TO it has no answer before its sender hangs up, or this long
HANGS_S = 60


async def serve_smtp(inbox: Inbox, host: str, port: int) -> asyncio.Server:
    """Listen on `host` until the returned server is closed."""
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        # Without a host name aiosmtpd asks the resolver for one on each connection.
        return SMTP(
            Catcher(inbox), data_size_limit=SIZE_MAX, enable_SMTPUTF8=True, hostname="localhost", loop=loop
        )

    return await loop.create_server(protocol, host, port)


class Catcher:
    """aiosmtpd's handler of one connection."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_RCPT(  # noqa: N802 (aiosmtpd looks the hooks up by the SMTP verb)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        """Accept the recipient, or answer as the mailbox does that it simulates."""
        mailbox = address.partition("@")[0].partition("+")[0].lower()
        if mailbox == HANGING:
            await asyncio.sleep(HANGS_S)
        refusal = REFUSALS.get(mailbox)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail once for each recipient."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = message_from_bytes(content, policy=default)
        for address in envelope.rcpt_tos:
            self._inbox.take_mail(
                address,
                envelope.mail_from or "",
                str(mail["Subject"] or ""),
                _part(mail, "plain"),
                _part(mail, "html"),
                str(mail["Message-ID"] or ""),
            )
        return "250 2.0.0 Caught"


def _part(mail: EmailMessage, kind: str) -> str:
    """The text of the first part of this kind; empty where there is none or it cannot be read."""
    part = mail.get_body((kind,))
    try:
        return str(part.get_content()).replace("\r\n", "\n") if part else ""
    except (LookupError, ValueError):  # an unknown charset, or bytes that are not of it
        return ""
