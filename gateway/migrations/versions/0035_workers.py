"""The gateways on the books, which of them publishes an event, and when their clock was kept."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add them; an event that is on its way is taken by the first gateway that sees it."""
    op.create_table(
        "workers",
        sa.Column("id", Text, nullable=False),
        sa.Column("name", Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("taken_over", sa.Integer(), nullable=False),
        sa.UniqueConstraint("name", name="uq_workers_name"),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.add_column("outbox", sa.Column("worker_id", Text, nullable=True))
    op.add_column("clocks", sa.Column("wall_us", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Undo it: one gateway publishes everything."""
    op.drop_column("clocks", "wall_us")
    op.drop_column("outbox", "worker_id")
    op.drop_table("workers")
