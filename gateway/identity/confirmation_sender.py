"""Sends what asks to confirm an address, and letters, from queues in the books: their tokens stand on no topic.

A message is sent at least once: a mail with the same Message-ID again, a short message after a look whether the
provider has it. What was asked for anew meanwhile, or of an address that was changed, is not sent any more.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar, assert_never

import structlog
from sqlalchemy import Connection

from connectors.delivery import DeliveryRefused, TryLater
from connectors.mail import Mail, Mailer
from connectors.sms import Texter
from gateway.books import accounts, confirmations, letters
from gateway.books.accounts import Account
from gateway.books.confirmations import CONFIRMED_CHANNELS, ConfirmationRow, ConfirmedChannel
from gateway.books.engine import WORKER, Books
from gateway.books.letters import LetterRow
from gateway.books.workers import another_lives
from gateway.identity.confirmation_messages import confirmation_mail, confirmation_sms
from gateway.identity.confirmations import ConfirmationRules, unconfirmed
from gateway.identity.letter_messages import letter_mail
from gateway.identity.links import PAGES, link_url
from gateway.policy import MINUTE_US, SECOND_US
from schemas.times import steady_micros

AT_ONCE = 64  # messages of a channel; half of them may have failed before: whoever hangs holds up nobody new
LOOKS_EVERY_S = 5.0  # for what is due again; what is new is told
TRIED_FOR_S = 30.0  # one message: longer than the channels' own timeouts
LEASE_US = MINUTE_US  # then it is sent again: whoever had it is gone
PAUSE_US = SECOND_US  # after the first try in vain, four times as long after each further one
PAUSE_MAX_US = 5 * MINUTE_US
FAILED_PAUSE_S = 1.0

log = structlog.get_logger()

C = TypeVar("C")
QueuedMessage = ConfirmationRow | LetterRow


class ConfirmationSender:
    """Sends what is due. Belongs to the event loop that made it."""

    def __init__(
        self, books: Books, rules: ConfirmationRules, mailer: Mailer | None, texter: Texter | None
    ) -> None:
        """Messages of a channel without a client wait until they are worth nothing any more."""
        self._books, self._rules, self._mailer, self._texter = books, rules, mailer, texter
        self._woken = {channel: asyncio.Event() for channel in CONFIRMED_CHANNELS}

    def wake(self, channel: ConfirmedChannel) -> None:
        """Look for messages that are due."""
        self._woken[channel].set()

    async def run(self) -> None:
        """Send what is due, for as long as the gateway runs; neither channel waits for the other."""
        async with asyncio.TaskGroup() as tasks:
            for channel in CONFIRMED_CHANNELS:
                tasks.create_task(self._run(channel, tasks))

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._mailer, self._texter):
            if client:
                await client.close()

    async def _run(self, channel: ConfirmedChannel, tasks: asyncio.TaskGroup) -> NoReturn:
        running: dict[bool, int] = {False: 0, True: 0}  # by whether they were tried before
        await self._release(channel)
        try:
            while True:
                self._woken[channel].clear()
                for tried in running:
                    for row in await self._due(channel, tried, AT_ONCE // 2 - running[tried]):
                        running[tried] += 1
                        task = tasks.create_task(self._try(row))
                        task.add_done_callback(partial(self._ended, channel, running, tried))
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOKS_EVERY_S):
                        await self._woken[channel].wait()
        finally:
            if channel == "email" and self._mailer:
                self._mailer.break_off()

    async def _release(self, channel: ConfirmedChannel) -> None:
        """What the process before had in hand is due at once; where that fails, once its lease is over."""
        try:
            await self._books.write(_release, channel, steady_micros())
        except Exception:
            log.exception("confirmations.failed", channel=channel)

    async def _due(self, channel: ConfirmedChannel, tried: bool, room: int) -> list[QueuedMessage]:
        """The messages to try now, taken so that nobody else does."""
        if room <= 0:
            return []
        try:
            return await self._books.write(_begin_due, channel, tried, room)
        except Exception:
            log.exception("confirmations.failed", channel=channel)
            await asyncio.sleep(FAILED_PAUSE_S)
            return []

    def _ended(
        self, channel: ConfirmedChannel, running: dict[bool, int], tried: bool, _task: "asyncio.Task[None]"
    ) -> None:
        running[tried] -= 1
        self._woken[channel].set()

    async def _try(self, row: QueuedMessage) -> None:
        """Send one message; what fails here too is due again once its lease is over."""
        try:
            await self._send(row)
        except Exception:
            log.exception("confirmations.failed", channel=_channel(row))

    async def _send(self, row: QueuedMessage) -> None:
        """Send one message, and note what became of it."""
        account = await self._books.read(accounts.by_id, row.account_id)
        if account is None or row.expires_at <= steady_micros() or not self._is_wanted(row, account):
            await self._books.write(_end, row)
            return
        try:
            async with asyncio.timeout(TRIED_FOR_S):
                await self._hand_over(row, account)
        except DeliveryRefused as error:
            log.warning("confirmation.refused", message_id=row.id, channel=_channel(row), reason=error.reason)
            await self._books.write(_end, row)
        except (TryLater, TimeoutError) as error:
            reason = error.reason if isinstance(error, TryLater) else "timeout"
            log.warning("confirmation.postponed", message_id=row.id, channel=_channel(row), reason=reason)
            await self._books.write(_postpone, row, steady_micros() + _pause_us(row.sends))
        else:
            log.info("confirmation.sent", message_id=row.id, channel=_channel(row))
            await self._books.write(_end, row)

    def _is_wanted(self, row: QueuedMessage, account: Account) -> bool:
        """False where the account has another address by now than the message was meant for."""
        match row:
            case ConfirmationRow():
                return unconfirmed(account, row.channel) == row.address
            case LetterRow():
                return account.email is not None and self._rules.recipient("email", account.email) == row.recipient
            case _:
                assert_never(row)

    async def _hand_over(self, row: QueuedMessage, account: Account) -> None:
        """Give a message to its channel. Raises `DeliveryRefused` and `TryLater`."""
        match row:
            case ConfirmationRow():
                await self._ask_to_confirm(row, account.locale)
            case LetterRow():
                assert account.email is not None
                mail = letter_mail(row.kind, self._link(row), account.locale)
                await _client(self._mailer).send(Mail(account.email, mail.subject, mail.text, mail.html, row.id))
            case _:
                assert_never(row)

    def _link(self, row: LetterRow) -> str:
        """Where a letter leads to: the page of its link, or that which asks for a new password."""
        match row.kind:
            case "password_reset" | "invitation":
                assert row.seed is not None
                return link_url(self._rules, row.kind, self._rules.link_token(row.seed))
            case (
                "password_changed"
                | "email_taken"
                | "second_factor_set"
                | "second_factor_removed"
                | "recovery_code_used"
                | "wrong_codes"
                | "email_change_asked"
            ):
                return f"{self._rules.public_url}{PAGES['password_reset']}"
            case _:
                assert_never(row.kind)

    async def _ask_to_confirm(self, row: ConfirmationRow, locale: str) -> None:
        assert row.seed is not None
        match row.channel:
            case "email":
                mail = confirmation_mail(self._rules.token(row.seed), self._rules.page(row.seed), locale)
                await _client(self._mailer).send(Mail(row.address, mail.subject, mail.text, mail.html, row.id))
            case "sms":
                text = confirmation_sms(self._rules.code(row.seed), locale)
                texter = _client(self._texter)
                if not row.sends or await texter.find(row.address, text) is None:
                    await texter.send(row.address, text)
            case _:
                assert_never(row.channel)


def _begin_due(conn: Connection, channel: ConfirmedChannel, tried: bool, most: int) -> list[QueuedMessage]:
    """Take messages that are due, each as it was before; letters, which somebody waits for, come first."""
    now = steady_micros()
    due: list[QueuedMessage] = []
    if channel == "email":
        due += letters.due(conn, now, most, tried=tried)
    due += confirmations.due(conn, channel, now, most - len(due), tried=tried)
    return [row for row in due if _begin(conn, row, now + LEASE_US)]


def _release(conn: Connection, channel: ConfirmedChannel, now: int) -> None:
    if another_lives(conn, conn.info[WORKER] or "", now):  # it may have them in hand
        return
    confirmations.release(conn, channel, now)
    if channel == "email":
        letters.release(conn, now)


def _begin(conn: Connection, row: QueuedMessage, lease_until: int) -> bool:
    match row:
        case ConfirmationRow():
            return confirmations.begin(conn, row, lease_until)
        case LetterRow():
            return letters.begin(conn, row, lease_until)
        case _:
            assert_never(row)


def _postpone(conn: Connection, row: QueuedMessage, due_at: int) -> None:
    match row:
        case ConfirmationRow():
            confirmations.postpone(conn, row, due_at)
        case LetterRow():
            letters.postpone(conn, row, due_at)
        case _:
            assert_never(row)


def _end(conn: Connection, row: QueuedMessage) -> None:
    match row:
        case ConfirmationRow():
            confirmations.end(conn, row)
        case LetterRow():
            letters.end(conn, row)
        case _:
            assert_never(row)


def _channel(row: QueuedMessage) -> ConfirmedChannel:
    return row.channel if isinstance(row, ConfirmationRow) else "email"


def _pause_us(sends: int) -> int:
    return min(PAUSE_US << 2 * min(sends, 10), PAUSE_MAX_US)


def _client(client: C | None) -> C:
    if client is None:
        raise TryLater("secret_missing")
    return client
