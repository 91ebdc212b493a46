"""A row that readiness overwrites."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """No rows: the first question for readiness writes the only one."""
    op.create_table(
        "probed_writes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("ballast", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_probed_writes"),
    )


def downgrade() -> None:
    """Forget it."""
    op.drop_table("probed_writes")
