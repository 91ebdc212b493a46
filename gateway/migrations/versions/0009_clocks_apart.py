"""How far the wall clock was from the books' clock: ids tell the one's time, `created_at` the other's."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    op.add_column("clocks", sa.Column("apart_us", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("clocks", "apart_us")
