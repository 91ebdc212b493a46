"""The password of the books' role, read from its file for each new connection (docs/decisions/0103)."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]  # it has types, but no marker that says so

from connectors.secret_files import SecretFile, next_of
from gateway.settings import PASSWORD_IN
from schemas.settings import BadSetting

CONNECT_TIMEOUT_S = 5.0
ITERATIONS = 4096  # PostgreSQL's own number
LOOKS = 2  # at the files: they may be exchanged between the two

Connect = Callable[..., Awaitable[Any]]


def parted(url: str) -> tuple[str, SecretFile | None]:
    """What asyncpg takes of a URL, and the file of the password where the URL names one."""
    at = urlsplit(url)
    asked = parse_qsl(at.query)
    file = dict(asked).get(PASSWORD_IN)
    if file is None:
        return url, None
    others = urlencode([(name, value) for name, value in asked if name != PASSWORD_IN], safe="/")
    return urlunsplit(at._replace(query=others)), SecretFile(Path(file))


async def connected(connect: Connect, file: SecretFile | None) -> Any:
    """A connection by the password of this moment, or by the one to come where that is refused.

    `connect` takes a `password`. Raises whatever it raises, and `SecretMissing`.
    """
    if file is None:
        return await connect()
    refused: dict[str, Exception] = {}
    for _ in range(LOOKS):
        for password in file.tried():
            if password not in refused:
                try:
                    return await connect(password=password)
                except asyncpg.InvalidPasswordError as error:
                    refused[password] = error
    raise next(reversed(refused.values()))


def change_password(url: str, file: Path) -> None:
    """Have the books' role take the password that is in the file of the one to come, once more without harm.

    Raises `BadSetting` where its password does not come from that file, and whatever asyncpg raises.
    """
    dsn, present = parted(url)
    if present is None or present.path != file.absolute():
        raise BadSetting(f"SLUICE_DATABASE_URL: its password has to be in {file}, not in the URL")
    new = next_of(file).read_text().strip()
    asyncio.run(_change(partial(asyncpg.connect, dsn, timeout=CONNECT_TIMEOUT_S), present, new))


async def _change(connect: Connect, present: SecretFile, new: str) -> None:
    conn = await connected(connect, present)
    try:
        # A value can stand in this statement as a literal alone; a verifier has no quotes, and tells no password.
        await conn.execute(f"ALTER ROLE SESSION_USER PASSWORD '{verifier(new, token_bytes(16))}'")
    finally:
        await conn.close()
    await (await connect(password=new)).close()


def verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL stores of an ASCII password (RFC 5802, RFC 7677), so that it never sees the password."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key, server_key = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client_key).digest()
    salt64, stored64, server64 = (base64.b64encode(each).decode() for each in (salt, stored, server_key))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"
