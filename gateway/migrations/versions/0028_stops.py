"""Stops: what takes no new payments until an administrator lets it go on."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "stops",
        sa.Column("target", Text, nullable=False),
        sa.Column("id", Text, nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("stopped_by", Text, nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target", name="pk_stops"),
        sa.UniqueConstraint("id", name="uq_stops_id"),
    )


def downgrade() -> None:
    """Undo it; what was stopped sells again."""
    op.drop_table("stops")
