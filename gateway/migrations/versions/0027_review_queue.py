"""The queue of reviews: what each may cost, who has taken it, and the reasons it is found by."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

AT_ONCE = 1_000
BY_AGE = "loss_rank > -2"
OPEN, DECIDED, HELD = "decision IS NULL", "decision IS NOT NULL", "assigned_to IS NOT NULL"
INDEXES = {
    "open_loss": (["loss_rank", "id"], OPEN),
    "open_kind": (["kind", "id"], OPEN),
    "open_kind_loss": (["kind", "loss_rank", "id"], OPEN),
    "decided_kind": (["kind", "id"], DECIDED),
    "assigned": (["assigned_to", "id"], f"{HELD} AND {BY_AGE}"),
    "assigned_loss": (["assigned_to", "loss_rank", "id"], HELD),
}
REASON_INDEXES = {
    "open": (["reason", "review_id"], True, f" AND {BY_AGE}"),
    "decided": (["reason", "review_id"], False, ""),
    "open_loss": (["reason", "loss_rank", "review_id"], True, ""),
}
READ = """
    SELECT r.id, r.decision, r.reasons, p.risk, p.amount FROM reviews r JOIN payments p ON p.id = r.payment_id
    WHERE r.id > :past ORDER BY r.id LIMIT :most"""
PUT = """
    INSERT INTO review_reasons (review_id, reason, is_open, loss_rank)
    VALUES (:review, :reason, :is_open, :rank)"""
RANK = "UPDATE reviews SET expected_loss = :loss, loss_rank = :loss WHERE id = :review"


def upgrade() -> None:
    """Add columns, table and indexes; reviews of before are found by their reasons, too.

    What an open one of them may cost is ordered by its minor units: the rates of the day are the gateway's.
    """
    op.add_column("reviews", sa.Column("expected_loss", sa.BigInteger(), nullable=True))
    op.add_column("reviews", sa.Column("loss_rank", sa.BigInteger(), nullable=False, server_default="-1"))
    op.add_column("reviews", sa.Column("assigned_to", Text, nullable=True))
    op.add_column("reviews", sa.Column("assigned_until", sa.BigInteger(), nullable=True))
    op.create_table(
        "review_reasons",
        sa.Column("review_id", Text, nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("loss_rank", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("review_id", "reason", name="pk_review_reasons"),
    )
    _fill(op.get_bind())
    for name, (columns, where) in INDEXES.items():
        _index(f"ix_reviews_{name}", "reviews", columns, where)
    for name, (columns, is_open, aged) in REASON_INDEXES.items():
        _index(f"ix_review_reasons_{name}", "review_reasons", columns, _is_open(is_open) + aged)


def _is_open(is_open: bool) -> str:
    if op.get_bind().dialect.name == "postgresql":
        return f"is_open IS {str(is_open).lower()}"
    return f"is_open IS {int(is_open)}"


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _fill(bind: sa.Connection) -> None:
    past = ""
    while rows := bind.execute(sa.text(READ), {"past": past, "most": AT_ONCE}).all():
        reasons = [reason for row in rows for reason in _reasons(row)]
        losses = [{"review": row.id, "loss": loss} for row in rows if (loss := _loss(row)) is not None]
        for statement, values in ((PUT, reasons), (RANK, losses)):
            if values:
                bind.execute(sa.text(statement), values)
        past = rows[-1].id


def _reasons(row: Any) -> Iterator[dict[str, Any]]:
    loss, is_open = _loss(row), row.decision is None
    for reason in sorted({*(_parsed(row.reasons, []) or _parsed(row.risk, {}).get("reasons", []))}):
        yield {"review": row.id, "reason": reason, "is_open": is_open, "rank": -1 if loss is None else loss}


def _loss(row: Any) -> int | None:
    score = _parsed(row.risk, {}).get("score")
    return None if score is None or row.decision is not None else round(row.amount * score)


def _parsed(text: str | None, otherwise: Any) -> Any:
    try:
        return json.loads(text or "")
    except ValueError:
        return otherwise


def downgrade() -> None:
    """Forget it."""
    op.drop_table("review_reasons")
    for name in INDEXES:
        op.drop_index(f"ix_reviews_{name}", "reviews")
    for column in ("assigned_until", "assigned_to", "loss_rank", "expected_loss"):
        op.drop_column("reviews", column)
