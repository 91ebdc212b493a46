"""What each fraud rule met, and what a merchant wants where no verdict comes in time."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001


def upgrade() -> None:
    """Add the table of hits, and the choice of each merchant."""
    op.create_table(
        "rule_hits",
        sa.Column("rule_id", Text, nullable=False),
        sa.Column("mode", Text, nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("payments", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "mode", "currency", name="pk_rule_hits"),
    )
    op.create_index("ix_controls_kind", "controls", ["kind", "id"])
    op.add_column("accounts", sa.Column("on_no_verdict", Text, nullable=True))


def downgrade() -> None:
    """Undo it; counts and choices are gone."""
    op.drop_column("accounts", "on_no_verdict")
    op.drop_index("ix_controls_kind", "controls")
    op.drop_table("rule_hits")
