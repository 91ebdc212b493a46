"""A gateway whose mail and SMS are caught: what came to whom, and the tokens and codes in it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from connectors.keyfiles import read_or_make
from connectors.sandbox.catcher.inbox import CaughtMessage, Inbox
from connectors.sandbox.catcher.smtp import serve_smtp
from connectors.sandbox.catcher.twilio import twilio_routes
from connectors.settings import ChannelSettings
from connectors.sms import TOKEN_FILE, new_token
from gateway.app import create_app
from gateway.settings import GatewaySettings
from tests.conftest import unused_offset
from tests.gateway.conftest import Gateway
from tests.patience import eventually

TOKEN = re.compile(r"^(?:Confirmation|Bestätigung): (\S{43})$", re.MULTILINE)
LINK = re.compile(r"^https?://\S+/(?:reset|invitation|confirm-email)\?token=(\S{43})$", re.MULTILINE)
CODE = re.compile(r"Sluice: (\d{6}) ")
# As in production, but that all of them go to any country.
LIMITS = {"mails_per_hour": 10, "sms_per_hour": 5, "confirmation_sms_per_day": 100}


class Post:
    """The real catcher's two sides, in this process; each can be away."""

    def __init__(self, settings: ChannelSettings) -> None:
        self.settings, self.inbox = settings, Inbox()
        self._smtp: Any = None
        self._runner: web.AppRunner | None = None

    async def open_mail(self) -> None:
        """Take mails from now on."""
        self._smtp = await serve_smtp(self.inbox, "localhost", self.settings.port("smtp"))

    async def open_sms(self) -> None:
        """Take short messages from now on."""
        token = read_or_make(self.settings, TOKEN_FILE, new_token).decode().strip()
        app = web.Application()
        app.add_routes(twilio_routes(self.inbox, self.settings.sms_account, token))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "localhost", self.settings.port("catcher")).start()

    async def close(self) -> None:
        """Take nothing any more."""
        if self._smtp:
            self._smtp.close()
        if self._runner:
            await self._runner.cleanup()

    def to(self, address: str) -> list[CaughtMessage]:
        """What came to an address, oldest first."""
        return [message for message in self.inbox if message.to == address][::-1]

    async def token(self, address: str, number: int = 1) -> str:
        """The token in the mail to an address that came as the `number`th."""
        return self._found(TOKEN, (await self._arrived(address, number)).text)

    async def link(self, address: str, number: int = 1) -> str:
        """The token of the link in the mail to an address that came as the `number`th."""
        return self._found(LINK, (await self._arrived(address, number)).text)

    async def code(self, phone: str, number: int = 1) -> str:
        """The code in the short message to a phone that came as the `number`th."""
        return self._found(CODE, (await self._arrived(phone, number)).text)

    async def _arrived(self, address: str, number: int) -> CaughtMessage:
        await eventually(lambda: len(self.to(address)) >= number)
        return self.to(address)[number - 1]

    @staticmethod
    def _found(pattern: re.Pattern[str], text: str) -> str:
        found = pattern.search(text)
        assert found, text
        return found[1]


def channels_of(settings: GatewaySettings, **changes: Any) -> ChannelSettings:
    """Settings of channels that nobody has opened yet, with the limits of production."""
    channels = ChannelSettings(data=settings.data, port_offset=unused_offset())
    return msgspec.structs.replace(channels, **LIMITS | changes)


@asynccontextmanager
async def served(settings: GatewaySettings, channels: ChannelSettings) -> AsyncIterator[Gateway]:
    """A gateway that sends by these channels."""
    app = create_app(settings, channels=channels)
    async with app.test_app():
        yield Gateway(app)


@asynccontextmanager
async def with_post(settings: GatewaySettings, **changes: Any) -> AsyncIterator[tuple[Gateway, Post]]:
    """A gateway, and what its messages come to."""
    post = Post(channels_of(settings, **changes))
    await post.open_mail()
    await post.open_sms()
    try:
        async with served(settings, post.settings) as gateway:
            yield gateway, post
    finally:
        await post.close()
