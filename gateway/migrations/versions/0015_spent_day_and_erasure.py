"""The day whose caps were spent (a payer may approve on another one than they began), what erasure looks up."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add column and indexes. A payment that is in work now gives nothing back: its day is not known."""
    op.add_column("verdicts", sa.Column("spent_day", Text, nullable=True))
    is_admin = sa.text("role = 'admin' AND erased_at IS NULL")
    op.create_index("ix_accounts_admins", "accounts", ["id"], sqlite_where=is_admin, postgresql_where=is_admin)
    is_deleted = sa.text("deleted_at IS NOT NULL")
    op.create_index(
        "ix_cards_deleted", "cards", ["owner_id"], sqlite_where=is_deleted, postgresql_where=is_deleted
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_index("ix_cards_deleted", "cards")
    op.drop_index("ix_accounts_admins", "accounts")
    op.drop_column("verdicts", "spent_day")
