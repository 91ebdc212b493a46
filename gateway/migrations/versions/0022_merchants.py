"""Single return addresses of a merchant, who was taken out of its people, and which clients run out when."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add them: nobody was taken out so far."""
    op.add_column("accounts", sa.Column("return_urls", Text, nullable=False, server_default="[]"))
    op.add_column("merchant_people", sa.Column("removed_at", sa.BigInteger(), nullable=True))
    acts = sa.text("removed_at IS NULL")
    op.drop_index("ix_merchant_people_merchant_id", "merchant_people")
    op.create_index(
        "ix_merchant_people_merchant_id",
        "merchant_people",
        ["merchant_id", "account_id"],
        sqlite_where=acts,
        postgresql_where=acts,
    )
    ends = sa.text("revoked_at IS NULL AND expires_at IS NOT NULL")
    op.create_index("ix_clients_expires_at", "clients", ["expires_at"], sqlite_where=ends, postgresql_where=ends)


def downgrade() -> None:
    """Undo it; who was taken out acts for nobody, so their rows go."""
    op.drop_index("ix_clients_expires_at", "clients")
    op.drop_index("ix_merchant_people_merchant_id", "merchant_people")
    op.execute("DELETE FROM merchant_people WHERE removed_at IS NOT NULL")
    op.create_index("ix_merchant_people_merchant_id", "merchant_people", ["merchant_id", "account_id"])
    op.drop_column("merchant_people", "removed_at")
    op.drop_column("accounts", "return_urls")
