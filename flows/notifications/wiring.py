"""The courier as the settings want it."""

from datetime import timedelta

from connectors.keyfiles import read_or_make
from connectors.mail import Mailer, MailServer
from connectors.sms import TOKEN_FILE, SmsAccount, Texter, new_token
from flows.notifications.courier import Courier
from flows.notifications.effects import Effects
from flows.notifications.recipients import SECRET_FILE, Recipients, new_secret
from flows.notifications.settings import NotificationSettings

MAIL_PASSWORD_FILE = "mail.password"  # noqa: S105 (the name of a file)


async def open_courier(settings: NotificationSettings) -> Courier:
    """A courier of the running loop. Nothing is connected before the first message. Raises `SecretMissing`."""
    secret = read_or_make(settings, SECRET_FILE, new_secret).decode().strip()
    return Courier(
        Recipients(settings.gateway_url(), secret),
        Mailer(_mail_server(settings)),
        Texter(_sms_account(settings)),
        Effects(settings.effects_path()),
        timedelta(seconds=settings.notification_age_max_s),
    )


def _mail_server(settings: NotificationSettings) -> MailServer:
    if not settings.mail_host:
        return MailServer("localhost", settings.port("smtp"), settings.mail_from, tls="none")
    password = read_or_make(settings, MAIL_PASSWORD_FILE, bytes).decode().strip() if settings.mail_user else ""
    return MailServer(
        settings.mail_host,
        settings.mail_port,
        settings.mail_from,
        settings.mail_tls,
        settings.mail_user,
        password,
    )


def _sms_account(settings: NotificationSettings) -> SmsAccount:
    token = read_or_make(settings, TOKEN_FILE, new_token).decode().strip()
    return SmsAccount(settings.sms_url or settings.url("catcher"), settings.sms_account, token, settings.sms_from)
