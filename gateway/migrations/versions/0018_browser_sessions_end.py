"""A browser session ends some time after its login, however often it is used."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Those that are open end when they would have, unused."""
    op.add_column(
        "browser_session_tokens", sa.Column("ends_at", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute("UPDATE browser_session_tokens SET ends_at = expires_at")


def downgrade() -> None:
    """They go on as long as they are used."""
    op.drop_column("browser_session_tokens", "ends_at")
