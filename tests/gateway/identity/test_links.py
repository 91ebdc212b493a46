"""One-time links: who may use one, once, and what it does to the account."""

import msgspec
import pytest
from sqlalchemy import Connection, select

from connectors.settings import ChannelSettings
from gateway.books import accounts, letters, links
from gateway.books.accounts import Account
from gateway.books.letters import LetterRow
from gateway.identity import contacts
from gateway.identity import links as one_time_links
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.links import LinkInvalid, ask_reset, holder, invite, link_url, make_link, redeem
from schemas.ids import new_id
from schemas.times import now_micros, steady_micros

CHANNELS = msgspec.structs.replace(ChannelSettings(), mails_per_hour=10)
RULES = ConfirmationRules(b"k" * 32, CHANNELS.limits(), CHANNELS, "https://pay.example")
HASH = "$argon2id$new"


def account(conn: Connection, email: str, **more: object) -> Account:
    """A new account in the books."""
    now = now_micros()
    made = Account(
        id=new_id("acc"),
        role="customer",
        email=email,
        email_key=contacts.email_key(email),
        name="Ada",
        password_hash="$argon2id$old",
        created_at=now,
        updated_at=now,
    )
    accounts.add(conn, msgspec.structs.replace(made, **more))
    return accounts.by_id(conn, made.id) or made


def mailed(conn: Connection, who: Account) -> list[str]:
    """The tokens of the letters to an account that wait, the oldest first."""
    rows = conn.execute(select(letters.letters).where(letters.letters.c.account_id == who.id))
    found = [LetterRow(**row._mapping) for row in rows]
    return [RULES.link_token(row.seed) for row in sorted(found, key=lambda row: row.id) if row.seed]


def test_a_link_sets_the_password_once_and_confirms_its_address(conn: Connection) -> None:
    ada = account(conn, "ada@example.com", failures=3, locked_until=steady_micros() + 10**9)
    ask_reset(conn, RULES, "ADA@example.com")
    (token,) = mailed(conn, ada)
    assert holder(conn, RULES, token).id == ada.id
    redeem(conn, RULES, token, HASH)
    found = accounts.by_id(conn, ada.id)
    assert found
    assert (found.password_hash, found.failures, found.locked_until) == (HASH, 0, 0)
    assert found.email_confirmed_at is not None
    with pytest.raises(LinkInvalid):
        redeem(conn, RULES, token, "another")


def test_a_guessed_token_is_nobodys(conn: Connection) -> None:
    ada = account(conn, "ada@example.com")
    token = make_link(conn, RULES, ada.id, "password_reset", "")
    for guess in ("", token[:-1], token.swapcase(), RULES.link_token(b"guess"), "\0"):
        with pytest.raises(LinkInvalid):
            redeem(conn, RULES, guess, HASH)


def test_only_the_newest_link_of_an_account_is_good(conn: Connection) -> None:
    ada = account(conn, "ada@example.com")
    older = make_link(conn, RULES, ada.id, "invitation", "")
    ask_reset(conn, RULES, "ada@example.com")
    (newest,) = mailed(conn, ada)
    with pytest.raises(LinkInvalid):
        redeem(conn, RULES, older, HASH)
    redeem(conn, RULES, newest, HASH)


def test_a_link_is_not_good_for_ever(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = account(conn, "ada@example.com")
    token = make_link(conn, RULES, ada.id, "password_reset", "")
    now = steady_micros()
    monkeypatch.setattr(one_time_links, "steady_micros", lambda: now + 3_600_000_001)
    with pytest.raises(LinkInvalid):
        redeem(conn, RULES, token, HASH)


def test_who_lost_the_address_meanwhile_is_not_let_in_by_a_link_that_went_there(conn: Connection) -> None:
    ada = account(conn, "ada@example.com")
    ask_reset(conn, RULES, "ada@example.com")
    (token,) = mailed(conn, ada)
    now = now_micros()
    accounts.change(conn, msgspec.structs.replace(ada, new_email="eve@example.com"))
    assert accounts.confirm_email(conn, ada.id, "eve@example.com", "eve@example.com", now)
    with pytest.raises(LinkInvalid):
        redeem(conn, RULES, token, HASH)


def test_who_entered_an_address_first_leaves_no_way_back_into_the_account(conn: Connection) -> None:
    """Pre-hijacking: the owner of the mailbox takes over an account that a stranger made with the address."""
    waiting = {"new_email": "eve@example.com", "phone": "+4915112345678", "phone_confirmed_at": 1}
    ada = account(conn, "ada@example.com", **waiting)
    ask_reset(conn, RULES, "ada@example.com")
    redeem(conn, RULES, mailed(conn, ada)[0], HASH)
    found = accounts.by_id(conn, ada.id)
    assert found
    assert (found.new_email, found.phone, found.phone_confirmed_at) == (None, None, None)


def test_a_disabled_account_gets_no_link_and_an_older_one_is_not_good(conn: Connection) -> None:
    ada = account(conn, "ada@example.com", disabled_at=1)
    ask_reset(conn, RULES, "ada@example.com")
    assert mailed(conn, ada) == []
    with pytest.raises(LinkInvalid):
        redeem(conn, RULES, make_link(conn, RULES, ada.id, "password_reset", ""), HASH)


def test_a_mailbox_gets_so_many_links_and_no_more(conn: Connection) -> None:
    """Half of its ten mails an hour, as of confirmations, and two beyond; the newest one that went out is good."""
    ada = account(conn, "ada@example.com")
    tokens = []
    for _ in range(9):
        ask_reset(conn, RULES, "ada@example.com")
        tokens += mailed(conn, ada)
    assert len(set(tokens)) == 7
    redeem(conn, RULES, tokens[-1], HASH)


def test_the_books_alone_open_nothing(conn: Connection) -> None:
    ada = account(conn, "ada@example.com")
    token = make_link(conn, RULES, ada.id, "invitation", "")
    rows = conn.execute(select(links.one_time_links)).all()
    assert token.encode() not in repr(rows).encode()
    other = msgspec.structs.replace(RULES, key=b"x" * 32)
    with pytest.raises(LinkInvalid):
        redeem(conn, other, token, HASH)


def test_an_invitation_leads_to_our_own_page(conn: Connection) -> None:
    ada = account(conn, "ada@example.com", password_hash=None)
    invite(conn, RULES, ada, "acc_admin")
    (token,) = mailed(conn, ada)
    assert link_url(RULES, "invitation", token) == f"https://pay.example/invitation?token={token}"
