"""What the books keep of one account beside its payments: few rows, read at once to give them to their owner."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from gateway.books import confirmations, consents, persons, saved, second_factors
from gateway.books.accounts import Account, by_id
from gateway.books.cards import CardRow, cards
from gateway.books.clients import OAuthClient, clients
from gateway.books.confirmations import ConfirmationRow
from gateway.books.consents import Consent
from gateway.books.known_callers import CallerKind, known_callers
from gateway.books.letters import LetterKind, letters
from gateway.books.links import OneTimeLink, one_time_links
from gateway.books.merchant_people import MerchantPerson, by_account
from gateway.books.persons import CONFIRMATION_TEXTS, SQL_TOKEN_TEXTS
from gateway.books.saved import SavedRow
from gateway.books.second_factors import SecondFactorRow
from gateway.books.sessions import SessionRow, sessions
from gateway.books.sql import Statement
from gateway.books.sql_tokens import SqlTokenRow, sql_tokens
from gateway.books.tables import struct_of

Told = Literal["living", "deleted"]

_account_id = bindparam("of_account_id", type_=sessions.c.account_id.type)
_cards: dict[Told, Statement] = {
    "living": Statement(select(cards).where(cards.c.owner_id == _account_id, cards.c.deleted_at.is_(None))),
    "deleted": Statement(select(cards).where(cards.c.owner_id == _account_id, cards.c.deleted_at.is_not(None))),
}
_confirmations = Statement(
    select(confirmations.confirmations).where(confirmations.confirmations.c.account_id == _account_id)
)
_sessions = Statement(select(sessions).where(sessions.c.account_id == _account_id))
_clients = Statement(select(clients).where(clients.c.account_id == _account_id))
_links = Statement(select(one_time_links).where(one_time_links.c.account_id == _account_id))
_letters = Statement(select(letters.c.kind).where(letters.c.account_id == _account_id))
_sql_tokens = Statement(select(sql_tokens).where(sql_tokens.c.account_id == _account_id))
_known = Statement(
    select(known_callers.c.kind, func.count().label("number"))
    .where(known_callers.c.account_id == _account_id)
    .group_by(known_callers.c.kind)
)


class Belongings(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one account, opened. `known`: how many devices and networks it has logged in from are known.

    `letters`: that wait to be sent. `recovery_codes`: how many are unused.
    """

    account: Account
    acts_for: MerchantPerson | None
    cards: list[CardRow]
    confirmations: list[ConfirmationRow]
    consents: list[Consent]
    saved: list[SavedRow]
    sessions: list[SessionRow]
    sql_tokens: list[SqlTokenRow]
    clients: list[OAuthClient]
    links: list[OneTimeLink]
    letters: list[LetterKind]
    second_factor: SecondFactorRow | None
    recovery_codes: int
    known: dict[CallerKind, int]


def belongings(conn: Connection, account_id: str) -> Belongings | None:
    """All of them; None where the account was erased."""
    account = by_id(conn, account_id)
    if account is None:
        return None
    of = {"of_account_id": account_id}
    asked = [struct_of(ConfirmationRow, row) for row in _confirmations(conn, **of)]
    tokens = [struct_of(SqlTokenRow, row) for row in _sql_tokens(conn, **of)]
    return Belongings(
        account=account,
        acts_for=by_account(conn, account_id),
        cards=[CardRow(*row) for select_some in _cards.values() for row in select_some(conn, **of)],
        confirmations=persons.opened_rows(conn, CONFIRMATION_TEXTS, asked),
        consents=consents.of_account(conn, account_id),
        saved=saved.of_account(conn, account_id),
        sessions=[struct_of(SessionRow, row) for row in _sessions(conn, **of)],
        sql_tokens=persons.opened_rows(conn, SQL_TOKEN_TEXTS, tokens),
        clients=[struct_of(OAuthClient, row) for row in _clients(conn, **of)],
        links=[OneTimeLink(*row) for row in _links(conn, **of)],
        letters=[row.kind for row in _letters(conn, **of)],
        second_factor=second_factors.by_account(conn, account_id),
        recovery_codes=second_factors.unused_codes(conn, account_id),
        known={row.kind: row.number for row in _known(conn, **of)},
    )
