"""A vault that is asked from other hosts: who may, what travels, and certificates replaced while it serves."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.machine.opening import answers
from gateway.vault.addresses import TlsAddress, addresses_of
from gateway.vault.certificates import Certificates, Certified, Role
from schemas.settings import BadSetting
from sluice.vault_certificates import Authority, authority_in, new_authority, write_holder
from tests.gateway.vault.conftest import RunningVault, SeeingClient

DAY = timedelta(days=1)
NUMBER = "4111111111111111"


class House:
    """The house's authority, a vault on `port` with a certificate of it, and holders of others."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.authority = authority_in(folder / "certificates")

    def holder(
        self,
        name: str,
        role: Role = "gateway",
        by: Authority | None = None,
        lasts: timedelta = DAY,
        host: str = "",
    ) -> Path:
        """The directory of somebody's certificate."""
        directory = self.folder / name
        hosts = [host] if host else []
        write_holder(by or self.authority, directory, Certified(role, name), hosts, lasts)
        return directory

    def vault(self, new_vault: Callable[..., RunningVault], certificates: Path) -> RunningVault:
        """A vault that listens."""
        return new_vault(**self.settings(certificates)).start()

    def settings(self, certificates: Path) -> dict[str, str]:
        """What such a vault is given."""
        return {"SLUICE_VAULT_LISTEN": f"127.0.0.1:{self.port}", "SLUICE_VAULT_CERTIFICATES": str(certificates)}

    def client(
        self, vault: RunningVault, certificates: Path, port: int = 0, host: str = "127.0.0.1"
    ) -> SeeingClient:
        """A client with these certificates."""
        return SeeingClient([TlsAddress(host, port or self.port, Certificates(certificates))], vault.secret, 5.0)


@pytest.fixture
def house(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> House:
    """An authority, and a port."""
    return House(tmp_path, *free_ports(1))


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[tuple[int, bytearray]]:
    """A port that leads to another one, and all that went over it."""
    heard = bytearray()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            heard.extend(data)
            writer.write(data)
        writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


async def test_a_card_travels_unreadable_and_its_entry_names_the_certificate(
    house: House, new_vault: Callable[..., RunningVault]
) -> None:
    vault = house.vault(new_vault, house.holder("a", "vault", host="127.0.0.1"))
    async with tapped(house.port) as (port, heard):
        client = house.client(vault, house.holder("gateway-1"), port)
        card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
        assert (await client.see(card_id, "acc_a")).number == NUMBER
        await client.close()
    assert len(heard) > 1_000
    assert not any(
        said in heard for said in (NUMBER.encode(), card_id.encode(), vault.secret, b"acc_a", b"gateway-1")
    )
    [entry] = vault.audit("card.open")
    assert (entry.certificate, entry.pid, entry.uid) == ("gateway:gateway-1", None, None)


async def test_whoever_has_no_right_certificate_is_refused(
    house: House, new_vault: Callable[..., RunningVault]
) -> None:
    vault = house.vault(new_vault, house.holder("a", "vault", host="127.0.0.1"))
    stranger = new_authority("Somebody else")
    good = house.holder("gateway-1")
    of_others = house.holder("gateway-2", by=stranger)
    shutil.copy(good / "ca.pem", of_others / "ca.pem")  # it trusts the vault, which does not trust it
    assert await answers(house.client(vault, good))
    assert not await answers(house.client(vault, of_others))
    assert not await answers(house.client(vault, house.holder("gateway-3", lasts=-DAY)))
    assert not await answers(house.client(vault, house.holder("gateway-4", by=stranger)))
    assert not await answers(house.client(vault, good, host="localhost")), "which its certificate does not name"
    nameless = SeeingClient([TlsAddress("127.0.0.1", house.port, Certificates(good))], b"another secret", 5.0)
    assert not await answers(nameless), "a certificate is not enough"


async def test_a_gateways_certificate_does_not_stand_for_a_vault(
    house: House, new_vault: Callable[..., RunningVault]
) -> None:
    vault = house.vault(new_vault, house.holder("posing", "gateway", host="127.0.0.1"))
    assert not await answers(house.client(vault, house.holder("gateway-1")))


async def test_certificates_and_their_authority_are_replaced_while_it_serves(
    house: House, new_vault: Callable[..., RunningVault], until: Callable[..., object]
) -> None:
    own, old = house.holder("a", "vault", host="127.0.0.1", lasts=20 * DAY), house.holder("gateway-1")
    vault = house.vault(new_vault, own)
    assert vault.said("certificate.expires")[0]["days"] == 19
    lasting = house.client(vault, old)
    await lasting.ping()
    successor = new_authority("Sluice vaults 2")
    house.holder("a", "vault", by=successor, host="127.0.0.1")
    await until(lambda: vault.said("certificate.replaced"))
    assert await answers(house.client(vault, house.holder("gateway-5", by=successor)))
    assert not await answers(house.client(vault, old))
    assert not await answers(lasting), "its connection ended with the old authority"


def test_what_cannot_be_reached_is_told_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="SLUICE_VAULT_CERTIFICATES"):
        addresses_of(tmp_path, "tls://a:7443")
    with pytest.raises(BadSetting, match="SLUICE_VAULT:"):
        addresses_of(tmp_path, "tls://a", certificates=tmp_path)
    with pytest.raises(BadSetting, match="SLUICE_VAULT_CERTIFICATES"):
        Certificates(tmp_path).client_context()
    [near, far] = addresses_of(tmp_path, f"{tmp_path}/a.sock, tls://[::1]:7443", certificates=tmp_path)
    assert [str(near), str(far)] == [f"{tmp_path}/a.sock", "tls://::1:7443"]
