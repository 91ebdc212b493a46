"""What Kafka is told of an account: role, whether it is disabled, a merchant's trading name; not who it is."""

from sqlalchemy import Connection

from gateway.books.account_rights import count_event
from gateway.books.accounts import Account, to_change
from gateway.books.merchants import is_merchant
from gateway.books.outbox import add_event
from schemas.accounts import AccountChanged, AccountErased
from schemas.times import from_micros, now_micros
from schemas.topics import ACCOUNTS


def tell_account(conn: Connection, account: Account) -> None:
    """Write `account.changed` with what an account is now, as the next event of its own."""
    sequence = count_event(conn, account.id)
    changed = AccountChanged(
        account=account.id,
        sequence=sequence,
        role=account.role,
        disabled=account.disabled_at is not None,
        trading_name=account.name if is_merchant(conn, account) else None,
        recorded_at=from_micros(now_micros()),
    )
    _add(conn, account.id, "account.changed", sequence, changed)


def tell_untold_account(conn: Connection, account_id: str) -> bool:
    """Tell of an account of before there were events of them, if nobody did meanwhile."""
    account = to_change(conn, account_id)
    if account is None or account.events:
        return False
    tell_account(conn, account)
    return True


def tell_erased(conn: Connection, account: Account) -> None:
    """Write `account.erased`, the last event of an account."""
    erased = AccountErased(account.id, account.role, from_micros(now_micros()))
    _add(conn, account.id, "account.erased", count_event(conn, account.id), erased)


def _add(
    conn: Connection, account_id: str, type: str, sequence: int, data: AccountChanged | AccountErased
) -> None:
    add_event(
        conn,
        topic=ACCOUNTS.name,
        key=account_id,
        type=type,
        subject_id=account_id,
        sequence=sequence,
        data=data,
        traceparent=None,
        now=now_micros(),
    )
