"""What the fraud features count by beside the card: the payer's network and e-mail domain; amounts in euro."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0029"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add their columns; rows of before have none: the addresses they would be made of are sealed, or not kept."""
    op.add_column("payments", sa.Column("ip_network_hash", Text, nullable=True))
    op.add_column("payments", sa.Column("email_domain_hash", Text, nullable=True))
    op.add_column("payments", sa.Column("amount_eur_cents", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("email_domain_hash", Text, nullable=True))


def downgrade() -> None:
    """Undo it."""
    for name in ("ip_network_hash", "email_domain_hash", "amount_eur_cents"):
        op.drop_column("payments", name)
    op.drop_column("accounts", "email_domain_hash")
