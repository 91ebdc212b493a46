"""Logins in apps: the codes that clients fetch tokens with, and what people allowed clients that are not ours."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

CODE_TEXTS = ("client_id", "account_id", "parent_id", "redirect_uri", "scopes", "nonce", "code_challenge", "amr")


def upgrade() -> None:
    """Nobody logged in to an app before."""
    op.create_table(
        "authorization_codes",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, Text, nullable=False) for name in CODE_TEXTS),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("session_id", Text, nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_authorization_codes_client"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_authorization_codes_account"),
        sa.PrimaryKeyConstraint("hash", name="pk_authorization_codes"),
    )
    op.create_table(
        "consents",
        sa.Column("account_id", Text, nullable=False),
        sa.Column("client_id", Text, nullable=False),
        sa.Column("scopes", Text, nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_consents_account"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_consents_client"),
        sa.PrimaryKeyConstraint("account_id", "client_id", name="pk_consents"),
    )


def downgrade() -> None:
    """Whoever is in the middle of a login begins again, and each client asks again."""
    op.drop_table("consents")
    op.drop_table("authorization_codes")
