"""Sends what asks to confirm an address, from a queue in the books: the token stands on no topic.

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
from gateway.books import accounts, confirmations
from gateway.books.confirmations import CONFIRMED_CHANNELS, ConfirmationRow, ConfirmedChannel
from gateway.books.engine import Books
from gateway.identity.confirmation_messages import confirmation_mail, confirmation_sms
from gateway.identity.confirmations import ConfirmationRules, unconfirmed
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
            await self._books.write(confirmations.release, channel, steady_micros())
        except Exception:
            log.exception("confirmations.failed", channel=channel)

    async def _due(self, channel: ConfirmedChannel, tried: bool, room: int) -> list[ConfirmationRow]:
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

    async def _try(self, row: ConfirmationRow) -> None:
        """Send one message; what fails here too is due again once its lease is over."""
        try:
            await self._send(row)
        except Exception:
            log.exception("confirmations.failed", channel=row.channel)

    async def _send(self, row: ConfirmationRow) -> None:
        """Send one message, and note what became of it."""
        locale = await self._locale(row)
        if locale is None or row.expires_at <= steady_micros():
            await self._books.write(confirmations.end, row)
            return
        try:
            async with asyncio.timeout(TRIED_FOR_S):
                await self._hand_over(row, locale)
        except DeliveryRefused as error:
            log.warning("confirmation.refused", message_id=row.id, channel=row.channel, reason=error.reason)
            await self._books.write(confirmations.end, row)
        except (TryLater, TimeoutError) as error:
            reason = error.reason if isinstance(error, TryLater) else "timeout"
            log.warning("confirmation.postponed", message_id=row.id, channel=row.channel, reason=reason)
            await self._books.write(confirmations.postpone, row, steady_micros() + _pause_us(row.sends))
        else:
            log.info("confirmation.sent", message_id=row.id, channel=row.channel)
            await self._books.write(confirmations.end, row)

    async def _locale(self, row: ConfirmationRow) -> str | None:
        """The person's language; None where the account has another address by now, or is erased."""
        account = await self._books.read(accounts.by_id, row.account_id)
        wanted = account is not None and unconfirmed(account, row.channel) == row.address
        return account.locale if account and wanted else None

    async def _hand_over(self, row: ConfirmationRow, locale: str) -> None:
        """Give a message to its channel. Raises `DeliveryRefused` and `TryLater`."""
        assert row.seed is not None
        match row.channel:
            case "email":
                mail = confirmation_mail(self._rules.token(row.seed), locale)
                await _client(self._mailer).send(Mail(row.address, mail.subject, mail.text, mail.html, row.id))
            case "sms":
                text = confirmation_sms(self._rules.code(row.seed), locale)
                texter = _client(self._texter)
                if not row.sends or await texter.find(row.address, text) is None:
                    await texter.send(row.address, text)
            case _:
                assert_never(row.channel)


def _begin_due(conn: Connection, channel: ConfirmedChannel, tried: bool, most: int) -> list[ConfirmationRow]:
    """Take messages that are due, each as it was before."""
    now = steady_micros()
    due = confirmations.due(conn, channel, now, most, tried=tried)
    return [row for row in due if confirmations.begin(conn, row, now + LEASE_US)]


def _pause_us(sends: int) -> int:
    return min(PAUSE_US << 2 * min(sends, 10), PAUSE_MAX_US)


def _client(client: C | None) -> C:
    if client is None:
        raise TryLater("secret_missing")
    return client
