"""Settings of the notifications flow, and the clients of the channels they describe."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from connectors.keyfiles import read_or_make
from connectors.mail import Mailer, MailServer
from connectors.sms import TOKEN_FILE, SmsAccount, Texter, new_token
from schemas.settings import Settings

MAIL_PASSWORD_FILE = "mail.password"  # noqa: S105 (the name of a file)


class NotificationSettings(Settings, frozen=True, kw_only=True):
    """How messages are sent, and for how long one is tried.

    Without `mail_host` and `sms_url` everything goes to the local catcher. With `mail_user` the password is read
    from `secrets/mail.password`; the SMS account's token from `secrets/sms.token`.
    `gateway`: the base URL of the gateway; without it the local one is asked.
    `mail_from` and `sms_from`: the senders that messages carry.
    `mail_tls`: encrypted from the first byte (`tls`), after a greeting (`starttls`), or not at all.
    `notification_patience_s`: for how long a message is tried before it is given up.
    `notification_age_max_s`: for events older than this no message is sent. For twice as long it is remembered
    who was told; of what is older still nothing is recorded either.
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
        """The base URL of the gateway that is asked for recipients."""
        return self.gateway or self.url("gateway")

    def sent_log_path(self) -> Path:
        """The file of the `SentLog`. Not `.sqlite3`: Bytewax takes such a file for part of its recovery store."""
        return self.data / "notifications" / "effects.db"

    def horizon(self) -> timedelta:
        """For how long it is remembered who was told of an event: longer than anybody is told of it."""
        return 2 * timedelta(seconds=self.notification_age_max_s)

    def mailer(self) -> Mailer:
        """The client of the mail server, by default the local catcher's. Raises `SecretMissing`."""
        if not self.mail_host:
            return Mailer(MailServer("localhost", self.port("smtp"), self.mail_from, tls="none"))
        password = read_or_make(self, MAIL_PASSWORD_FILE, bytes).decode().strip() if self.mail_user else ""
        return Mailer(
            MailServer(self.mail_host, self.mail_port, self.mail_from, self.mail_tls, self.mail_user, password)
        )

    def texter(self) -> Texter:
        """The client of the SMS provider, by default the local catcher's. Raises `SecretMissing`."""
        token = read_or_make(self, TOKEN_FILE, new_token).decode().strip()
        url = self.sms_url or self.url("catcher")
        return Texter(SmsAccount(url, self.sms_account, token, self.sms_from))
