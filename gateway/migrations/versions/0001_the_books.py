"""The books as they begin: one function per table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Ids are compared and paged by their bytes, whatever the database's own order of texts is.
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    for table in TABLES:
        table()


def downgrade() -> None:
    """Drop every table."""
    for table in reversed(TABLES):
        op.drop_table(table.__name__)


def accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", Text, nullable=False),
        sa.Column("role", Text, nullable=False),
        sa.Column("extra_scopes", Text, nullable=False),
        sa.Column("limit_class", Text, nullable=False),
        sa.Column("email", Text, nullable=True),
        sa.Column("email_key", Text, nullable=True),
        sa.Column("password_hash", Text, nullable=True),
        sa.Column("name", Text, nullable=False),
        sa.Column("phone", Text, nullable=True),
        sa.Column("locale", Text, nullable=False),
        sa.Column("time_zone", Text, nullable=False),
        sa.Column("preferences", Text, nullable=False),
        sa.Column("quiet_hours", Text, nullable=True),
        sa.Column("return_origins", Text, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email_key", name=op.f("uq_accounts_email_key")),
    )


def attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", Text, nullable=False),
        sa.Column("payment", Text, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("processor", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    with op.batch_alter_table("attempts") as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_payment"), ["payment"], unique=False)


def caps() -> None:
    op.create_table(
        "caps",
        sa.Column("subject", Text, nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("day", Text, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "currency", "day", name=op.f("pk_caps")),
    )


def cards() -> None:
    op.create_table(
        "cards",
        sa.Column("id", Text, nullable=False),
        sa.Column("owner", Text, nullable=False),
        sa.Column("brand", Text, nullable=False),
        sa.Column("bin", Text, nullable=False),
        sa.Column("last4", Text, nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=False),
        sa.Column("exp_year", sa.Integer(), nullable=False),
        sa.Column("fingerprint", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cards")),
    )
    with op.batch_alter_table("cards") as batch_op:
        batch_op.create_index("ix_cards_owner", ["owner", "created_at", "id"], unique=False)


def clients() -> None:
    op.create_table(
        "clients",
        sa.Column("id", Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
    )


def idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("account", Text, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("payment", Text, nullable=True),
        sa.Column("ok_status", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys") as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_payment"), ["payment"], unique=False)


def operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", Text, nullable=False),
        sa.Column("payment", Text, nullable=False),
        sa.Column("attempt", Text, nullable=False),
        sa.Column("processor", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("of", Text, nullable=True),
        sa.Column("of_reference", Text, nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("status", Text, nullable=False),
        sa.Column("processor_reference", Text, nullable=True),
        sa.Column("decline_code", Text, nullable=True),
        sa.Column("detail", Text, nullable=False),
        sa.Column("checks", sa.BigInteger(), nullable=False),
        sa.Column("worker", Text, nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    with op.batch_alter_table("operations") as batch_op:
        batch_op.create_index("ix_operations_finished_at", ["finished_at"], unique=False)
        batch_op.create_index("ix_operations_lease_until", ["lease_until"], unique=False)
        batch_op.create_index("ix_operations_payment", ["payment"], unique=False)
        batch_op.create_index(
            "uq_operations_open",
            ["payment"],
            unique=True,
            sqlite_where=sa.text("status IN ('sending', 'unknown') AND kind != 'reversal'"),
            postgresql_where=sa.text("status IN ('sending', 'unknown') AND kind != 'reversal'"),
        )
        batch_op.create_index(
            "uq_operations_reversal",
            ["of"],
            unique=True,
            sqlite_where=sa.text("kind = 'reversal'"),
            postgresql_where=sa.text("kind = 'reversal'"),
        )


def outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("event", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("type", Text, nullable=False),
        sa.Column("payment", Text, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("traceparent", Text, nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("event", name=op.f("uq_outbox_event")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox") as batch_op:
        batch_op.create_index("ix_outbox_payment", ["payment", "sequence"], unique=False)
        batch_op.create_index(
            "ix_outbox_unpublished",
            ["id"],
            unique=False,
            sqlite_where=sa.text("published_at IS NULL"),
            postgresql_where=sa.text("published_at IS NULL"),
        )


def payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", Text, nullable=False),
        sa.Column("stream_key", Text, nullable=False),
        sa.Column("customer", Text, nullable=False),
        sa.Column("merchant", Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("method", Text, nullable=False),
        sa.Column("card", Text, nullable=True),
        sa.Column("brand", Text, nullable=True),
        sa.Column("bin", Text, nullable=True),
        sa.Column("last4", Text, nullable=True),
        sa.Column("fingerprint", Text, nullable=True),
        sa.Column("capture", Text, nullable=False),
        sa.Column("wanted_processor", Text, nullable=True),
        sa.Column("description", Text, nullable=True),
        sa.Column("metadata", Text, nullable=True),
        sa.Column("return_url", Text, nullable=True),
        sa.Column("return_nonce", Text, nullable=True),
        sa.Column("country", Text, nullable=True),
        sa.Column("ip_hash", Text, nullable=True),
        sa.Column("device_hash", Text, nullable=True),
        sa.Column("traceparent", Text, nullable=True),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("announced", Text, nullable=True),
        sa.Column("recovery_point", Text, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("amount_captured", sa.BigInteger(), nullable=False),
        sa.Column("amount_refunded", sa.BigInteger(), nullable=False),
        sa.Column("processor", Text, nullable=True),
        sa.Column("decline_code", Text, nullable=True),
        sa.Column("redirect_url", Text, nullable=True),
        sa.Column("risk", Text, nullable=True),
        sa.Column("risk_outcome", Text, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("viewer", Text, nullable=False),
        sa.Column("worker", Text, nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
    )
    with op.batch_alter_table("payments") as batch_op:
        batch_op.create_index("ix_payments_customer", ["customer", "id"], unique=False)
        batch_op.create_index("ix_payments_lease_until", ["lease_until"], unique=False)
        batch_op.create_index("ix_payments_merchant", ["merchant", "id"], unique=False)
        batch_op.create_index("ix_payments_risk_outcome", ["risk_outcome", "id"], unique=False)


def postings() -> None:
    op.create_table(
        "postings",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("operation", Text, nullable=False),
        sa.Column("payment", Text, nullable=False),
        sa.Column("account", Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("postings") as batch_op:
        batch_op.create_index(batch_op.f("ix_postings_operation"), ["operation"], unique=False)
        batch_op.create_index(batch_op.f("ix_postings_payment"), ["payment"], unique=False)


def reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", Text, nullable=False),
        sa.Column("payment", Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("decision", Text, nullable=True),
        sa.Column("reason", Text, nullable=True),
        sa.Column("decided_by", Text, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("payment", name=op.f("uq_reviews_payment")),
    )
    with op.batch_alter_table("reviews") as batch_op:
        batch_op.create_index("ix_reviews_decision", ["decision", "id"], unique=False)


def verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("payment", Text, nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("source", Text, nullable=False),
        sa.Column("outcome", Text, nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("model", Text, nullable=True),
        sa.Column("features", Text, nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("verdicts") as batch_op:
        batch_op.create_index(batch_op.f("ix_verdicts_payment"), ["payment"], unique=False)
        batch_op.create_index(
            "uq_verdicts_applied",
            ["payment"],
            unique=True,
            sqlite_where=sa.text("applied IS 1"),
            postgresql_where=sa.text("applied IS true"),
        )


def sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", Text, nullable=False),
        sa.Column("account", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_sessions_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_account"), ["account"], unique=False)


def refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("session", Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_refresh_tokens_session")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_refresh_tokens")),
    )
    with op.batch_alter_table("refresh_tokens") as batch_op:
        batch_op.create_index(batch_op.f("ix_refresh_tokens_session"), ["session"], unique=False)


TABLES = (
    accounts,
    attempts,
    caps,
    cards,
    clients,
    idempotency_keys,
    operations,
    outbox,
    payments,
    postings,
    reviews,
    verdicts,
    sessions,
    refresh_tokens,
)
