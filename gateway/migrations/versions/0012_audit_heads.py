"""What the vault's audit said when a card was opened for an operation."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Operations of before keep none."""
    op.add_column("operations", sa.Column("audit_head", Text, nullable=True))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("operations", "audit_head")
