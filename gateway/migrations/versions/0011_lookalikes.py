"""How many card numbers that share BIN and last four digits were tokenized on a day, and by whom."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """No rows: the day begins anew."""
    op.create_table(
        "lookalikes",
        sa.Column("day", Text, nullable=False),
        sa.Column("subject", Text, nullable=False),
        sa.Column("family", Text, nullable=False),
        sa.Column("numbers", Text, nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("day", "subject", "family", name="pk_lookalikes"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("lookalikes")
