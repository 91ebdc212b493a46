"""E-mail by SMTP, over a few persistent connections, and more of them while some hang."""

import asyncio
import re
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from pathlib import Path
from typing import Literal

import msgspec
from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from email_validator import EmailNotValidError, validate_email
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from connectors.delivery import CONNECTIONS, DeliveryRefused, NotDelivered, ServerAway, TryLater
from connectors.secret_files import Secret, text_of
from schemas.times import now

TIMEOUT_S = 10
KEPT = 8  # connections, between mails
CLOSING = 421  # a server says so of itself and hangs up (RFC 5321 §3.8)
OUR_LOGIN = frozenset({530, 534, 535, 538})  # RFC 4954 §6: it is wanted, or not good enough
ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")  # exactly one address


class MailServer(msgspec.Struct, frozen=True):
    """The SMTP server to send through. `tls`: implicit TLS, STARTTLS (then required), or none."""

    host: str
    port: int
    sender: str
    tls: Literal["tls", "starttls", "none"] = "starttls"
    user: str = ""
    password: Secret = ""
    connections: int = CONNECTIONS


class Mail(msgspec.Struct, frozen=True):
    """One mail. `message_id` is the local part of its Message-ID, the same whenever this mail is sent again."""

    to: str
    subject: str
    text: str
    html: str
    message_id: str
    headers: dict[str, str] = {}


class Mailer:
    """Sends mails, at most `connections` at a time. Belongs to the event loop that created it."""

    def __init__(self, server: MailServer) -> None:
        """Connects with the first mail."""
        self._server, self._idle, self._in_use = server, list[SMTP](), set[SMTP]()
        self._room = asyncio.Semaphore(server.connections)

    async def send(self, mail: Mail) -> None:
        """Send one mail. Raises `DeliveryRefused`, `TryLater` and `ServerAway`.

        An address whose mailbox is not ASCII needs a server with SMTPUTF8 (RFC 6531 §3.1), else it is refused.
        """
        message = build(mail, self._server.sender)
        async with self._room:
            smtp = self._idle.pop() if self._idle else _client(self._server)
            self._in_use.add(smtp)
            try:
                if not smtp.is_connected:
                    await _connect(smtp, self._server)
                await smtp.send_message(message, recipients=[wire_address(mail.to)])
            except SMTPNotSupported:
                if mail.to.rpartition("@")[0].isascii():  # then it is our own address that is not
                    raise ServerAway("smtp_no_smtputf8") from None
                raise DeliveryRefused("mail_no_smtputf8") from None
            except (SMTPException, OSError, TimeoutError, ValueError) as error:
                answer = _answer(error)
                if answer is None or answer.code == CLOSING:
                    smtp.close()  # its protocol state is unknown: the next mail connects anew
                raise _not_delivered(error, answer) from None
            except asyncio.CancelledError:
                smtp.close()  # in the middle of a mail: its answer would be taken for that to the next one
                raise
            finally:
                self._put_back(smtp)

    async def close(self) -> None:
        """Close the connections, after the mails that are being sent."""
        for _ in range(self._server.connections):
            await self._room.acquire()
        for smtp in self._idle:
            smtp.close()

    def break_off(self) -> None:
        """Close the connections of the mails that are being sent: cancelled ones may not end for seconds.

        `wait_for` of Python 3.11, which aiosmtplib uses, can lose a cancellation.
        """
        for smtp in self._in_use:
            smtp.close()

    def _put_back(self, smtp: SMTP) -> None:
        self._in_use.discard(smtp)
        if smtp.is_connected and len(self._idle) < KEPT:
            self._idle.append(smtp)
        else:
            smtp.close()


def build(mail: Mail, sender: str) -> Message:
    """The MIME message. Raises `DeliveryRefused` where `to` is not exactly one address.

    Built with the older of Python's two mail interfaces: the newer one parses each header, 1.5 ms per mail.
    """
    if not ADDRESS.fullmatch(mail.to):
        raise DeliveryRefused("mail_malformed")
    message = MIMEMultipart("alternative", _subparts=[MIMEText(mail.text), MIMEText(mail.html, "html")])
    name, our_address = parseaddr(sender)
    our_address = wire_address(our_address)
    headers = {
        "From": formataddr((name, our_address)) if our_address.isascii() else sender,
        "To": wire_address(mail.to),
        "Subject": mail.subject,
        "Date": format_datetime(now()),
        "Message-ID": f"<{mail.message_id}@{our_address.rpartition('@')[2]}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834 §5: no automatic replies
        **mail.headers,
    }
    for name, value in headers.items():
        message[name] = " ".join(value.split())  # a line break would begin another header
    return message


def mail_templates(folder: Path) -> Environment:
    """The templates in `folder`, and `mail_frame.html`, which the HTML of every mail extends."""
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent / "templates"]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        auto_reload=False,  # during an upgrade a newer template may not fit the running code
        trim_blocks=True,
        lstrip_blocks=True,
    )


def wire_address(address: str) -> str:
    """The address with the A-labels of its domain (RFC 5891), which servers take that know no SMTPUTF8.

    Raises `DeliveryRefused` where the domain has none.
    """
    mailbox, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        found = validate_email(f"x@{domain}", check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise DeliveryRefused("mail_malformed") from None
    return f"{mailbox}@{found.ascii_domain}"


def _client(server: MailServer) -> SMTP:
    return SMTP(
        hostname=server.host,
        port=server.port,
        local_hostname="localhost",  # otherwise our own name is looked up, which may take seconds
        timeout=TIMEOUT_S,
        use_tls=server.tls == "tls",
        start_tls=server.tls == "starttls",
        username=server.user or None,
    )


async def _connect(smtp: SMTP, server: MailServer) -> None:
    """Connect, greet and log in. Raises `ServerAway`: no failure here is due to the mail."""
    try:
        await smtp.connect(password=text_of(server.password) or None)
    except SMTPResponseException as error:
        raise ServerAway(f"smtp_{error.code}") from None
    except (SMTPException, OSError, TimeoutError):
        raise ServerAway("smtp_unreachable") from None


def _answer(error: Exception) -> SMTPResponseException | None:
    """The server's refusal, after which aiosmtplib has reset the session; None where it did not answer."""
    if isinstance(error, SMTPRecipientsRefused):
        return error.recipients[0]
    return error if isinstance(error, SMTPResponseException) else None


def _not_delivered(error: Exception, answer: SMTPResponseException | None) -> NotDelivered:
    if isinstance(error, SMTPSenderRefused):  # that is us, whoever the mail is for
        return ServerAway(f"smtp_{error.code}")
    if answer is not None and answer.code in OUR_LOGIN:
        return ServerAway(f"smtp_{answer.code}")
    if answer is not None:
        kind = TryLater if 400 <= answer.code < 500 else DeliveryRefused
        return kind(f"smtp_{answer.code}")
    if isinstance(error, ValueError):  # an address SMTP cannot carry
        return DeliveryRefused("mail_malformed")
    return TryLater("smtp_unreachable")
