"""The day whose caps a payment spent: one that its payer approves later was created on another."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0010"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add the column. A payment that is in work at this moment gives nothing back: its day is not known."""
    op.add_column("verdicts", sa.Column("spent_day", Text, nullable=True))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("verdicts", "spent_day")
