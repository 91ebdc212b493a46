"""Who enters an address has to confirm it: with a token from a mail, or a code from a short message.

Nobody else knows them: they are made of a random seed and the gateway's key, and the books keep the seed until the
message was sent, beside a keyed hash. A copy of the books confirms nothing.
"""

from base64 import urlsafe_b64encode
from hmac import compare_digest
from secrets import token_bytes

import msgspec
import structlog
from sqlalchemy import Connection

from connectors.settings import ChannelSettings, MessageLimits
from gateway.books import accounts, caps, confirmations, recipients
from gateway.books.accounts import Account
from gateway.books.audit import Act, record
from gateway.books.confirmations import CONFIRMED_CHANNELS, ConfirmationRow, ConfirmedChannel
from gateway.books.engine import announce
from gateway.identity.contacts import email_key
from gateway.keyed_hashes import keyed_hash
from gateway.policy import HOUR_US, SECOND_US, seconds_left
from gateway.refusals import Refusal
from schemas.ids import new_id
from schemas.notifications import Channel
from schemas.times import from_micros, now_micros, steady_micros

LIFETIME_US = HOUR_US  # of a token or code: a mailbox that greylists may take a quarter of it
SEED_BYTES = 32
CODES = 1_000_000
TWO_WAIT = "It changes the address of an account that exists: log in to that, or take the token of the other mail."
CONFIRM_PAGE = "/confirm-email"

log = structlog.get_logger()


class ConfirmationInvalid(Refusal):
    """The token or code is wrong, was used, or is not good any more."""


class ConfirmedElsewhere(ConfirmationInvalid):
    """Two accounts wait for the address, and the token is of the one that would take it from the other."""


class ConfirmationsSpent(Refusal):
    """So many messages asked this recipient to confirm, or all of them, that no other one goes out now."""


class CannotConfirm(Refusal):
    """There is no such address, it is confirmed, or nothing is sent to it."""


class ConfirmationAsked(msgspec.Struct, frozen=True):
    """Announced: a message waits to be sent."""

    channel: ConfirmedChannel


class ConfirmationRules(msgspec.Struct, frozen=True):
    """`key`: the gateway's, for keyed hashes. `limits` and `channels`: how much goes out, and where to.

    `public_url`: what links are made of, whatever host a request names.
    """

    key: bytes
    limits: MessageLimits
    channels: ChannelSettings
    public_url: str

    def token(self, seed: bytes) -> str:
        """The token of a mail: 256 bits that nobody without the key can tell."""
        return urlsafe_b64encode(keyed_hash(self.key, "token", seed)).decode().rstrip("=")

    def page(self, seed: bytes) -> str:
        """The address of the page that takes the token of a mail."""
        return f"{self.public_url}{CONFIRM_PAGE}?token={self.token(seed)}"

    def code(self, seed: bytes) -> str:
        """The code of a short message: six digits."""
        return f"{int.from_bytes(keyed_hash(self.key, 'code', seed)) % CODES:06}"

    def token_hash(self, token: str) -> bytes:
        """What the books keep of a token."""
        return keyed_hash(self.key, "token hash", token)

    def code_hash(self, account_id: str, code: str) -> bytes:
        """What the books keep of an account's code."""
        return keyed_hash(self.key, "code hash", account_id, code)

    def link_token(self, seed: bytes) -> str:
        """The token of a one-time link: 256 bits that nobody without the key can tell."""
        return urlsafe_b64encode(keyed_hash(self.key, "link token", seed)).decode().rstrip("=")

    def link_hash(self, token: str) -> bytes:
        """What the books keep of a link's token."""
        return keyed_hash(self.key, "link hash", token)

    def recipient(self, channel: ConfirmedChannel, address: str) -> bytes:
        """What the books count an address by: one for all accounts that enter it."""
        same = email_key(address) if channel == "email" else address
        return keyed_hash(self.key, "recipient", channel, same)


def ask(
    conn: Connection, rules: ConfirmationRules, account_id: str, channel: ConfirmedChannel, address: str
) -> None:
    """Ask an account to confirm an address, once this is committed; what was asked before counts no more.

    Raises `ConfirmationsSpent`, and `CannotConfirm` where nothing is sent to.
    """
    steady, seed = steady_micros(), token_bytes(SEED_BYTES)
    spend(conn, rules, channel, address, steady)
    if channel == "email":
        secret_hash = rules.token_hash(rules.token(seed))
    else:
        secret_hash = rules.code_hash(account_id, rules.code(seed))
    row = ConfirmationRow(
        account_id=account_id,
        channel=channel,
        id=new_id("cnf"),
        address=address,
        seed=seed,
        secret_hash=secret_hash,
        expires_at=steady + LIFETIME_US,
        due_at=steady,
    )
    confirmations.put(conn, row)
    announce(conn, ConfirmationAsked(channel))


def ask_again(conn: Connection, rules: ConfirmationRules, account_id: str, channel: ConfirmedChannel) -> None:
    """Ask an account anew for the address of a channel. Raises `CannotConfirm` and `ConfirmationsSpent`."""
    account = accounts.to_change(conn, account_id)
    address = unconfirmed(account, channel) if account else None
    if address is None:
        raise CannotConfirm("There is no such address to confirm.")
    ask(conn, rules, account_id, channel, address)


def ask_what_is_new(
    conn: Connection, rules: ConfirmationRules, old: Account | None, new: Account
) -> list[ConfirmedChannel]:
    """Ask an account for the addresses that it has to confirm and had not before; those that nothing goes to."""
    held_back: list[ConfirmedChannel] = []
    for channel in CONFIRMED_CHANNELS:
        before, after = unconfirmed(old, channel) if old else None, unconfirmed(new, channel)
        if before == after:
            continue
        confirmations.forget(conn, new.id, channel)
        try:
            if after:
                ask(conn, rules, new.id, channel, after)
        except (ConfirmationsSpent, CannotConfirm):
            held_back.append(channel)
    return held_back


def log_held_back(account_id: str, channels: list[ConfirmedChannel]) -> None:
    """Log to which channels of an account no confirmation goes: too many did, or none goes to such numbers."""
    for channel in channels:
        log.warning("confirmation.held_back", account_id=account_id, channel=channel)


def unconfirmed(account: Account, channel: ConfirmedChannel) -> str | None:
    """The address of a channel that an account has to confirm; None where there is none."""
    if channel == "sms":
        return account.phone if account.phone_confirmed_at is None else None
    return account.new_email or (account.email if account.email_confirmed_at is None else None)


def confirm_email(conn: Connection, rules: ConfirmationRules, token: str, actor_id: str = "") -> None:
    """The token of a mail came back, from `actor_id`: whose session it is, empty where there is none.

    Who registers with an address that somebody else is changing theirs to gets two mails, and might paste the
    wrong one: the other account would have their address. So where an account that is not confirmed logs in with
    it, only a session of the one that changes to it confirms that. Raises `ConfirmationInvalid` and
    `ConfirmedElsewhere`; `EmailTaken` where another one was first.
    """
    row = confirmations.take(conn, rules.token_hash(token), steady_micros())
    if row is None:
        raise ConfirmationInvalid
    key = email_key(row.address)
    holder = accounts.by_email(conn, key)
    if holder is not None and holder.email_confirmed_at is None and row.account_id not in (holder.id, actor_id):
        raise ConfirmedElsewhere(TWO_WAIT)
    if not accounts.confirm_email(conn, row.account_id, row.address, key, now_micros()):
        raise ConfirmationInvalid
    record(conn, Act("account_changed", row.account_id, row.account_id, {"email": "confirmed"}))


def guess_phone(conn: Connection, rules: ConfirmationRules, account_id: str, code: str) -> ConfirmationRow | None:
    """The confirmation that a code is right for. A wrong one counts: an error would undo that."""
    row = confirmations.guess(conn, account_id, steady_micros())
    is_right = row is not None and compare_digest(row.secret_hash, rules.code_hash(account_id, code))
    return row if is_right else None


def confirm_phone(conn: Connection, row: ConfirmationRow) -> None:
    """The code of a short message was right. Raises `ConfirmationInvalid` where it no longer counts."""
    if not confirmations.use(conn, row):
        raise ConfirmationInvalid
    if not accounts.confirm_phone(conn, row.account_id, row.address, now_micros()):
        raise ConfirmationInvalid


def counts(conn: Connection, rules: ConfirmationRules, email: str | None, phone: str | None) -> dict[Channel, int]:
    """How many messages of the last hour asked somebody to confirm these addresses, where there were any."""
    addresses: dict[ConfirmedChannel, str | None] = {"email": email, "sms": phone}
    steady = steady_micros()
    found = {
        channel: recipients.count(conn, rules.recipient(channel, address), steady)
        for channel, address in addresses.items()
        if address
    }
    return {channel: number for channel, number in found.items() if number}


def spend(
    conn: Connection,
    rules: ConfirmationRules,
    channel: ConfirmedChannel,
    address: str,
    steady: int,
    *,
    reserved: int = 0,
) -> None:
    """Count a message to an address, over all accounts, and a short message against its day.

    `reserved`: how many more than others messages of this kind may be. Raises `ConfirmationsSpent`.
    """
    recipient = rules.recipient(channel, address)
    sent = recipients.lock(conn, recipient, steady)
    if len(sent) >= rules.limits.confirmations_per_hour(channel) + reserved:
        oldest = sent[0] if sent else steady
        raise ConfirmationsSpent(retry_after_s=1 + (oldest + HOUR_US - steady) // SECOND_US)
    if channel == "sms":
        _spend_sms(conn, rules, address, steady)
    recipients.keep(conn, recipient, [*sent, steady])


def _spend_sms(conn: Connection, rules: ConfirmationRules, number: str, steady: int) -> None:
    if not rules.channels.may_text(number):
        raise CannotConfirm("No short messages go to numbers like this one.")
    today = from_micros(steady).date()
    if not caps.spend(conn, caps.SMS, today, 1, rules.limits.confirmation_sms_per_day):
        raise ConfirmationsSpent(retry_after_s=seconds_left(steady))
