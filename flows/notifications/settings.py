"""Settings of the notifications flow."""

from datetime import timedelta
from pathlib import Path

from connectors.settings import ChannelSettings


class NotificationSettings(ChannelSettings, frozen=True, kw_only=True):
    """For how long a message is tried, beside how messages are sent.

    `notification_patience_s`: for how long a message is tried before it is given up.
    `notification_age_max_s`: for events older than this no message is sent. For twice as long it is remembered
    who was told; of what is older still nothing is recorded either.
    """

    notification_patience_s: float = 3600
    notification_age_max_s: float = 86400

    def sent_log_path(self) -> Path:
        """The file of the `SentLog`. Not `.sqlite3`: Bytewax takes such a file for part of its recovery store."""
        return self.data / "notifications" / "effects.db"

    def horizon(self) -> timedelta:
        """For how long it is remembered who was told of an event: longer than anybody is told of it."""
        return 2 * timedelta(seconds=self.notification_age_max_s)
