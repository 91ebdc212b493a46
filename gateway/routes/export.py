"""All that is kept of a person, for that person: one JSON document, sent as it is read."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal

import msgspec
from quart import Blueprint

from gateway.books import audit
from gateway.books.accounts import AccountGone
from gateway.books.audit import Act
from gateway.books.audit_list import AuditFilter, list_audit
from gateway.books.belongings import Belongings, belongings
from gateway.books.cards import CardRow
from gateway.books.clients import OAuthClient
from gateway.books.confirmations import ConfirmationRow, ConfirmedChannel
from gateway.books.consents import Consent
from gateway.books.known_callers import CallerKind
from gateway.books.letters import LetterKind
from gateway.books.links import LinkPurpose
from gateway.books.merchant_people import MerchantPerson
from gateway.books.sessions import SessionKind, SessionRow
from gateway.books.sql_tokens import SqlTokenRow
from gateway.identity.profiles import NotificationPreferences, Profile, notification_preferences, profile
from gateway.payments.paid import PaidPayment, paid_payment, paid_rows
from gateway.prints import Prints
from gateway.roles import MerchantRole
from gateway.routes.audit import AuditEntryView, audit_entry_view
from gateway.routes.cards import CardView, card_view
from gateway.routes.saved import SavedView, saved_view
from gateway.runtime import Runtime
from gateway.web.call import Call, Caller, Reply
from gateway.web.endpoint import endpoint, spend
from schemas.times import from_micros, now

blueprint = Blueprint("export", __name__)

ACTS_AT_ONCE = 100


class ExportedCard(msgspec.Struct, frozen=True):
    """A card; one that was deleted is kept without its number, as what paid."""

    card: CardView
    created_at: datetime
    deleted_at: datetime | None


class ExportedSession(msgspec.Struct, frozen=True):
    """A login. `client`: the app, empty for `POST /v1/login`; `device` a word for people."""

    id: str
    kind: SessionKind
    client: str
    scopes: str
    device: str
    created_at: datetime
    last_used_at: datetime
    second_factor_at: datetime | None
    revoked_at: datetime | None


class ExportedClient(msgspec.Struct, frozen=True):
    """An OAuth client of the account."""

    id: str
    name: str
    scopes: str
    redirect_uris: list[str]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class ExportedSqlToken(msgspec.Struct, frozen=True):
    """A token for SQL, without itself."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class ExportedConsent(msgspec.Struct, frozen=True):
    """What a person allowed the app of somebody else."""

    client: str
    scopes: str
    given_at: datetime


class PendingConfirmation(msgspec.Struct, frozen=True):
    """An address that was asked to confirm itself, and how often."""

    channel: ConfirmedChannel
    address: str
    sends: int


class ActingFor(msgspec.Struct, frozen=True):
    """The merchant whom a person acts for."""

    merchant: str
    role: MerchantRole
    since: datetime


class ExportedSecondFactor(msgspec.Struct, frozen=True):
    """A second factor; until it is confirmed it counts for nothing. `recovery_codes`: how many are unused."""

    created_at: datetime
    confirmed_at: datetime | None
    recovery_codes: int


class PersonExport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of a person. What is missing stands in `docs/api.md`, with the reason."""

    object: Literal["export"] = "export"
    made_at: datetime
    account: Profile
    notifications: NotificationPreferences
    acts_for: ActingFor | None
    confirmations: list[PendingConfirmation]
    consents: list[ExportedConsent]
    letters: list[LetterKind]
    one_time_links: list[LinkPurpose]
    second_factor: ExportedSecondFactor | None
    known_callers: dict[CallerKind, int]
    cards: list[ExportedCard]
    clients: list[ExportedClient]
    saved: list[SavedView]
    sessions: list[ExportedSession]
    sql_tokens: list[ExportedSqlToken]
    acts: list[AuditEntryView]
    payments: list[PaidPayment]


@blueprint.get("/v1/me/export")
@endpoint(scope="credentials", answers={200: PersonExport})
async def export_me(call: Call[None, None]) -> Reply:
    """Get all that is kept of oneself, three times a day. Payments are those that one paid, the newest first.

    `acts`: what the audit says was done to one's account, then what one did to others'; the newest first.
    """
    runtime, account_id = call.runtime, call.caller.actor_id
    spend(runtime, "exports", account_id)
    found = await runtime.books.read(belongings, account_id)
    if found is None:  # erased since the caller was identified
        raise AccountGone
    if not call.only_looks:  # a HEAD takes nothing out: the server sends no body
        await runtime.books.write(audit.record, Act("export", account_id, account_id))
    headers = {"Content-Disposition": 'attachment; filename="export.json"', "Cache-Control": "no-store"}
    return Reply(200, _pieces(runtime, found), headers)


async def _pieces(runtime: Runtime, found: Belongings) -> AsyncIterator[bytes]:
    """The document, its acts and payments a page at a time: however many, none but the page is in memory."""
    whole = msgspec.json.encode(_without_lists(runtime, found))
    yield whole.removesuffix(b'],"payments":[]}')
    async for piece in _joined(_acts(runtime, found.account.id)):
        yield piece
    yield b'],"payments":['
    async for piece in _joined(_payments(runtime, found.account.id)):
        yield piece
    yield b"]}"


async def _joined(items: AsyncIterator[msgspec.Struct]) -> AsyncIterator[bytes]:
    between = b""
    async for item in items:
        yield between + msgspec.json.encode(item)
        between = b","


async def _acts(runtime: Runtime, account_id: str) -> AsyncIterator[AuditEntryView]:
    """Each once: what one did to oneself is among the first."""
    for wanted in (AuditFilter(subject_id=account_id), AuditFilter(actor_id=account_id)):
        after = None
        while True:
            page = await runtime.books.browse(list_audit, after, ACTS_AT_ONCE, wanted)
            for row in page.rows:
                if wanted.subject_id is not None or row.subject_id != account_id:
                    yield audit_entry_view(row)
            if page.reached is None:
                break
            after = page.reached


async def _payments(runtime: Runtime, account_id: str) -> AsyncIterator[PaidPayment]:
    payer, after_id = Caller(account_id, account_id, "customer", frozenset()), None
    while True:
        page = await runtime.books.browse(paid_rows, account_id, after_id)
        for row in page.rows:
            yield paid_payment(row, payer, runtime.policy.prints)
        if page.reached is None:
            break
        after_id = page.reached


def _without_lists(runtime: Runtime, found: Belongings) -> PersonExport:
    return PersonExport(
        made_at=now(),
        account=profile(found.account),
        notifications=notification_preferences(found.account),
        acts_for=_acting_for(found.acts_for) if found.acts_for else None,
        confirmations=[_confirmation(row) for row in found.confirmations],
        consents=[_consent(row) for row in found.consents],
        letters=found.letters,
        one_time_links=[link.purpose for link in found.links],
        second_factor=_second_factor(found),
        known_callers=found.known,
        cards=[_card(card, runtime.policy.prints) for card in found.cards],
        clients=[_client(client) for client in found.clients],
        saved=[saved_view(row) for row in found.saved],
        sessions=[_session(session) for session in found.sessions],
        sql_tokens=[_sql_token(token) for token in found.sql_tokens],
        acts=[],
        payments=[],
    )


def _acting_for(row: MerchantPerson) -> ActingFor:
    return ActingFor(row.merchant_id, row.role, from_micros(row.created_at))


def _second_factor(found: Belongings) -> ExportedSecondFactor | None:
    row = found.second_factor
    if row is None:
        return None
    return ExportedSecondFactor(from_micros(row.created_at), _moment(row.confirmed_at), found.recovery_codes)


def _card(row: CardRow, prints: Prints) -> ExportedCard:
    return ExportedCard(card_view(row, prints), from_micros(row.created_at), _moment(row.deleted_at))


def _confirmation(row: ConfirmationRow) -> PendingConfirmation:
    return PendingConfirmation(row.channel, row.address, row.sends)


def _consent(row: Consent) -> ExportedConsent:
    return ExportedConsent(row.client_id, row.scopes, from_micros(row.given_at))


def _session(row: SessionRow) -> ExportedSession:
    return ExportedSession(
        id=row.id,
        kind=row.kind,
        client=row.client_id,
        scopes=row.scopes,
        device=row.device,
        created_at=from_micros(row.created_at),
        last_used_at=from_micros(row.last_used_at),
        second_factor_at=_moment(row.second_factor_at),
        revoked_at=_moment(row.revoked_at),
    )


def _sql_token(row: SqlTokenRow) -> ExportedSqlToken:
    return ExportedSqlToken(
        id=row.id,
        name=row.name,
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        last_used_at=_moment(row.last_used_at),
        revoked_at=_moment(row.revoked_at),
    )


def _client(row: OAuthClient) -> ExportedClient:
    return ExportedClient(
        id=row.id,
        name=row.name,
        scopes=row.scopes,
        redirect_uris=msgspec.json.decode(row.redirect_uris, type=list[str]),
        created_at=from_micros(row.created_at),
        last_used_at=_moment(row.last_used_at),
        revoked_at=_moment(row.revoked_at),
    )


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
