"""Fraud controls in the books, caps in euro, and late blocks: what is due of them, and cases of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

APPLIED_ONLY = """
    DELETE FROM verdicts WHERE NOT applied AND id NOT IN (
        SELECT min(id) FROM verdicts WHERE NOT applied GROUP BY payment_id
    )
"""
HELD_ONLY = "DELETE FROM reviews WHERE kind <> 'held'"
LATE = sa.text("NOT applied")
DUE = sa.text("due_at IS NOT NULL")
PAID = sa.text("amount_captured > 0")


def upgrade() -> None:
    """Caps begin anew: those so far were per currency, and are of one day."""
    op.create_table(
        "controls",
        sa.Column("id", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("value", Text, nullable=True),
        sa.Column("setting", Text, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_controls"),
    )
    op.create_index("ix_controls_value", "controls", ["value"])
    _caps("subject", "day")
    op.create_index("ix_payments_paid", "payments", ["stream_key"], sqlite_where=PAID, postgresql_where=PAID)
    op.add_column("verdicts", sa.Column("spent", sa.BigInteger(), nullable=True))
    op.add_column("verdicts", sa.Column("reasons", Text, nullable=True))
    op.add_column("verdicts", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.execute(APPLIED_ONLY)
    op.create_index(
        "uq_verdicts_late", "verdicts", ["payment_id"], unique=True, sqlite_where=LATE, postgresql_where=LATE
    )
    op.create_index("ix_verdicts_due_at", "verdicts", ["due_at"], sqlite_where=DUE, postgresql_where=DUE)
    with op.batch_alter_table("reviews") as reviews:
        reviews.add_column(sa.Column("kind", Text, nullable=False, server_default="held"))
        reviews.add_column(sa.Column("reasons", Text, nullable=True))
        reviews.drop_constraint("uq_reviews_payment", type_="unique")
        reviews.create_unique_constraint("uq_reviews_payment", ["payment_id", "kind"])


def downgrade() -> None:
    """Undo all of it; cases of late blocks are lost."""
    op.execute(HELD_ONLY)
    with op.batch_alter_table("reviews") as reviews:
        reviews.drop_constraint("uq_reviews_payment", type_="unique")
        reviews.create_unique_constraint("uq_reviews_payment", ["payment_id"])
        reviews.drop_column("reasons")
        reviews.drop_column("kind")
    op.drop_index("ix_verdicts_due_at")
    op.drop_index("uq_verdicts_late")
    for name in ("due_at", "reasons", "spent"):
        op.drop_column("verdicts", name)
    op.drop_index("ix_payments_paid")
    _caps("subject", "currency", "day")
    op.drop_table("controls")


def _caps(*key: str) -> None:
    op.drop_table("caps")
    op.create_table(
        "caps",
        *[sa.Column(name, Text, nullable=False) for name in key],
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_caps"),
    )
