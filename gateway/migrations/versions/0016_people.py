"""A merchant's people and clients, logins in browsers, accounts that are switched off, one-time links."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by its bytes, as in 0001

CLIENT_TEXTS = {
    "name": "",
    "type": "confidential",
    "redirect_uris": "[]",
    "post_logout_redirect_uris": "[]",
    "created_by": "start",
}
CLIENT_TIMES = ("expires_at", "revoked_at", "last_used_at")
ONE_HASH = """
    UPDATE clients SET secret_hash = coalesce(
        (SELECT hash FROM client_secrets WHERE client_id = clients.id ORDER BY expires_at IS NOT NULL LIMIT 1),
        :none
    )
"""


def upgrade() -> None:
    """Sessions of before were begun by a login with a password, in a device that nobody named."""
    op.add_column("sessions", sa.Column("kind", Text, nullable=False, server_default="login"))
    for name in ("client_id", "scopes", "device"):
        op.add_column("sessions", sa.Column(name, Text, nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("parent_id", Text, nullable=True))
    op.add_column("sessions", sa.Column("second_factor_at", sa.BigInteger(), nullable=True))
    op.add_column("sessions", sa.Column("last_used_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE sessions SET last_used_at = created_at")
    op.create_index("ix_sessions_parent_id", "sessions", ["parent_id"])
    op.add_column("accounts", sa.Column("disabled_at", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("suspended_at", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("suspended_reason", Text, nullable=True))
    _create_people()
    _change_clients()


def _create_people() -> None:
    op.create_table(
        "browser_session_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_browser_session_tokens_session"),
        sa.PrimaryKeyConstraint("hash", name="pk_browser_session_tokens"),
    )
    op.create_index("ix_browser_session_tokens_session_id", "browser_session_tokens", ["session_id"])
    op.create_table(
        "merchant_people",
        sa.Column("account_id", Text, nullable=False),
        sa.Column("merchant_id", Text, nullable=False),
        sa.Column("role", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_merchant_people_account"),
        sa.ForeignKeyConstraint(["merchant_id"], ["accounts.id"], name="fk_merchant_people_merchant"),
        sa.PrimaryKeyConstraint("account_id", name="pk_merchant_people"),
    )
    op.create_index("ix_merchant_people_merchant_id", "merchant_people", ["merchant_id", "account_id"])
    op.create_table(
        "one_time_links",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", Text, nullable=False),
        sa.Column("purpose", Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_one_time_links_account"),
        sa.PrimaryKeyConstraint("hash", name="pk_one_time_links"),
    )
    op.create_index("ix_one_time_links_account_id", "one_time_links", ["account_id", "purpose"])


def _change_clients() -> None:
    for name, value in CLIENT_TEXTS.items():
        op.add_column("clients", sa.Column(name, Text, nullable=False, server_default=value))
    for name in CLIENT_TIMES:
        op.add_column("clients", sa.Column(name, sa.BigInteger(), nullable=True))
    with op.batch_alter_table("clients") as clients:
        clients.add_column(sa.Column("account_id", Text, nullable=True))
        clients.create_foreign_key("fk_clients_account", "accounts", ["account_id"], ["id"])
    op.create_index("ix_clients_account_id", "clients", ["account_id", "id"])
    op.create_table(
        "client_secrets",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_client_secrets_client"),
        sa.PrimaryKeyConstraint("hash", name="pk_client_secrets"),
    )
    op.create_index("ix_client_secrets_client_id", "client_secrets", ["client_id"])
    op.execute("INSERT INTO client_secrets (hash, client_id) SELECT secret_hash, id FROM clients")
    op.drop_column("clients", "secret_hash")


def downgrade() -> None:
    """A client keeps one secret; people, links, and what was switched off are forgotten."""
    for name in ("one_time_links", "merchant_people", "browser_session_tokens"):
        op.drop_table(name)
    _change_clients_back()
    for name in ("suspended_reason", "suspended_at", "disabled_at"):
        op.drop_column("accounts", name)
    op.drop_index("ix_sessions_parent_id", "sessions")
    for name in ("last_used_at", "second_factor_at", "parent_id", "device", "scopes", "client_id", "kind"):
        op.drop_column("sessions", name)


def _change_clients_back() -> None:
    op.add_column("clients", sa.Column("secret_hash", sa.LargeBinary(), nullable=True))
    op.execute(sa.text(ONE_HASH).bindparams(none=b""))
    op.drop_table("client_secrets")
    op.drop_index("ix_clients_account_id", "clients")
    with op.batch_alter_table("clients") as clients:
        clients.alter_column("secret_hash", existing_type=sa.LargeBinary(), nullable=False)
        clients.drop_constraint("fk_clients_account", type_="foreignkey")
        for name in ("account_id", *CLIENT_TEXTS, *CLIENT_TIMES):
            clients.drop_column(name)
