"""Recipients from the gateway: it is asked when a message is sent, so changed preferences count at once."""

import asyncio
import secrets
from urllib.parse import quote

from aiohttp import ClientTimeout
from cachetools import TTLCache

from connectors.delivery import ServerAway, TryLater
from connectors.gateway import (
    AnswerUnreadable,
    GatewayClient,
    GatewayRefused,
    GatewayUnavailable,
    LoginRefused,
)
from connectors.oauth_tokens import ClientCredentials
from connectors.secret_files import Secret
from schemas.notifications import Recipient

CLIENT_ID = "notifications"
SECRET_FILE = "notifications.secret"  # noqa: S105 (the name of a file)
SCOPE = "contacts:read"
REMEMBERED_MAX = 10_000  # accounts
REMEMBERED_S = 1.0  # one request for a burst of a customer's payments; nothing personal is kept for longer
TIMEOUT = ClientTimeout(total=5, connect=2)
OF_ALL = frozenset({401, 403, 429, 503})  # these are not due to the account that was asked for


class Recipients:
    """Looks recipients up. Belongs to the event loop that made it."""

    def __init__(self, gateway_url: str, secret: Secret) -> None:
        """`secret` is that of the service client `notifications`."""
        credentials = ClientCredentials(CLIENT_ID, secret, SCOPE)
        self._gateway = GatewayClient(gateway_url, credentials, timeout=TIMEOUT)
        self._asked: TTLCache[str, asyncio.Task[Recipient | None]] = TTLCache(REMEMBERED_MAX, REMEMBERED_S)

    async def ask(self, account_id: str) -> Recipient | None:
        """The recipient of an account; None where there is no such account. Raises `TryLater`, `ServerAway`."""
        asked = self._asked.get(account_id)
        if asked is None:
            asked = self._asked[account_id] = asyncio.create_task(self._ask(account_id))
        try:
            return await asked
        except TryLater:
            self._asked.pop(account_id, None)
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._gateway.close()

    async def _ask(self, account_id: str) -> Recipient | None:
        path = f"/v1/accounts/{quote(account_id, safe='')}/recipient"
        try:
            recipient: Recipient | None = await self._gateway.get(path, Recipient)
        except LoginRefused as refused:
            reason = "unreadable" if refused.status == 200 else str(refused.status)
            raise ServerAway(f"token_{reason}") from None
        except GatewayRefused as refused:
            if refused.status != 404:
                kind = ServerAway if refused.status in OF_ALL else TryLater
                raise kind(f"gateway_{refused.status}") from None
            recipient = None
        except AnswerUnreadable:
            raise TryLater("gateway_unreadable") from None
        except GatewayUnavailable:
            raise ServerAway("gateway_unreachable") from None
        return recipient


def new_secret() -> bytes:
    """A secret for the service client, where the local profile has none yet."""
    return secrets.token_urlsafe(32).encode()
