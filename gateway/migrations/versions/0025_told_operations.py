"""How often operations and reviews were told of on their topics."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Those of before were never told of: `sluice outbox backfill` does that."""
    for table in ("operations", "reviews"):
        op.add_column(table, sa.Column("sequence", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Forget it."""
    for table in ("operations", "reviews"):
        op.drop_column(table, "sequence")
