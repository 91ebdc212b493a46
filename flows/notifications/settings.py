"""Settings of the notifications flow."""

from pathlib import Path
from typing import Literal

from schemas.settings import Settings


class NotificationSettings(Settings, frozen=True, kw_only=True):
    """How messages are sent, and for how long one is tried.

    Without `mail_host` and `sms_url` everything goes to the local catcher. With `mail_user` the password is read
    from `secrets/mail.password`; the SMS account's token from `secrets/sms.token`.
    `notification_patience_s`: for how long a message is tried before it is given up.
    `notification_age_max_s`: for events older than this no message is sent, so that a flow that must read the
    topic from its beginning does not write to every customer of the past.
    """

    gateway: str = ""
    mail_host: str = ""
    mail_port: int = 587
    mail_tls: Literal["tls", "starttls", "none"] = "starttls"
    mail_user: str = ""
    mail_from: str = "Sluice <payments@sluice.localhost>"
    sms_url: str = ""
    sms_account: str = "AC5105ce00000000000000000000000000"
    sms_from: str = "+15005550006"
    notification_patience_s: float = 3600
    notification_age_max_s: float = 86400

    def gateway_url(self) -> str:
        """The gateway's base URL."""
        return self.gateway or self.url("gateway")

    def sent_log_path(self) -> Path:
        """The file of the `SentLog`. Not `.sqlite3`: Bytewax takes such a file for part of its recovery store."""
        return self.data / "notifications" / "effects.db"
