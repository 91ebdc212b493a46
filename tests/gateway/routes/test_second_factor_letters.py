"""What an account's owner is told by mail of their second factor, and of somebody who has their password."""

from collections.abc import AsyncIterator, Callable

import pytest

from gateway.books.accounts import FAILURES_MAX, LOCK_US
from gateway.settings import GatewaySettings
from tests.gateway.post import Post, with_post
from tests.gateway.routes.holder import Holder, free_limits, stop_clock
from tests.patience import eventually


@pytest.fixture
async def told(
    gateway_settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Holder, Post]]:
    """Somebody whose mails are caught."""
    free_limits(monkeypatch)
    async with with_post(gateway_settings) as (gateway, post):
        yield await Holder(gateway, stop_clock(monkeypatch)).sign_up(), post


async def arrived(holder: Holder, post: Post, subject: str, times: int = 1) -> str:
    """The newest mail of a subject, once so many have come."""
    await eventually(lambda: [mail.subject for mail in post.to(holder.email)].count(subject) == times)
    return [mail for mail in post.to(holder.email) if mail.subject == subject][-1].text


async def test_an_owner_is_told_of_a_second_factor_and_of_a_recovery_code(told: tuple[Holder, Post]) -> None:
    holder, post = told
    await arrived(holder, post, "Your second factor is on")
    code = holder.recovery_codes[0]
    holder.taken(await holder.log_in(code))
    letter = await arrived(holder, post, "A recovery code was used")
    assert code not in letter
    otp = {"otp": holder.code()}
    assert (await holder.gateway.ask("DELETE", "/v1/me/totp", otp, holder.token)).status == 204
    await arrived(holder, post, "Your second factor is off")


async def test_an_owner_is_told_that_somebody_has_the_password_once_a_lock(
    told: tuple[Holder, Post], pass_time: Callable[[float], None]
) -> None:
    holder, post = told
    for times in (1, 2):
        await holder.guess(FAILURES_MAX + 2)
        await arrived(holder, post, "Somebody may have your password", times)
        pass_time(times * LOCK_US / 1_000_000)
