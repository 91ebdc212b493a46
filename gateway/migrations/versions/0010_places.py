"""How far topics have been read."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """No rows: the gateway writes its own once it has read."""
    op.create_table(
        "places",
        sa.Column("topic", Text, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("read_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_places"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("places")
