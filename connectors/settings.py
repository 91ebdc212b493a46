"""Settings of the channels that messages go out by, their clients, and how much they may carry.

Two processes send: the notifications flow, and the gateway what confirms an address.
"""

from typing import Annotated, Literal

import msgspec
import phonenumbers

from connectors.mail import Mailer, MailServer
from connectors.secret_files import Secret, secret_file
from connectors.sms import TOKEN_FILE, SmsAccount, Texter, new_token
from schemas.notifications import Channel
from schemas.settings import BadSetting, ProfileName, Settings

MAIL_PASSWORD_FILE = "mail.password"  # noqa: S105 (the name of a file)
Bound = Annotated[int, msgspec.Meta(ge=0)]
EVERYWHERE = "*"
COSTLY = frozenset({phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.SHARED_COST})


class MessageLimits(msgspec.Struct, frozen=True):
    """How many messages one recipient gets in an hour, and how many SMS all of them in a UTC day."""

    mails_per_hour: int
    sms_per_hour: int
    sms_per_day: int
    confirmation_sms_per_day: int

    def per_hour(self, channel: Channel) -> int:
        """How many messages an hour one address of a channel gets."""
        return self.sms_per_hour if channel == "sms" else self.mails_per_hour

    def confirmations_per_hour(self, channel: Channel) -> int:
        """How many of them may ask to confirm it: whoever enters an address leaves half of them to its owner."""
        return (self.per_hour(channel) + 1) // 2


# The demo's shoppers pay all day, and SMS to the local catcher cost nothing.
LIMITS_OF: dict[ProfileName, MessageLimits] = {
    "local": MessageLimits(1_000, 1_000, 100_000, 100_000),
    "production": MessageLimits(10, 5, 1_000, 100),
}
COUNTRIES_OF: dict[ProfileName, str] = {"local": EVERYWHERE, "production": ""}


class ChannelSettings(Settings, frozen=True, kw_only=True):
    """How messages are sent, and how many.

    Without `mail_host` and `sms_url` everything goes to the local catcher. With `mail_user` the password is read
    from `secrets/mail.password`; the SMS account's token from `secrets/sms.token`.
    `mail_from` and `sms_from`: the senders that messages carry.
    `mail_tls`: encrypted from the first byte (`tls`), after a greeting (`starttls`), or not at all.
    `…_per_hour`: to one address; `sms_per_day`: to all together, beside those that confirm a phone.
    `sms_countries`: ISO 3166 codes separated by commas, or `*`. What is not set is what `LIMITS_OF` and
    `COUNTRIES_OF` have for the profile.
    """

    mail_host: str = ""
    mail_port: int = 587
    mail_tls: Literal["tls", "starttls", "none"] = "starttls"
    mail_user: str = ""
    mail_from: str = "Sluice <payments@sluice.localhost>"
    sms_url: str = ""
    sms_account: str = "AC5105ce00000000000000000000000000"
    sms_from: str = "+15005550006"
    mails_per_hour: Bound | None = None
    sms_per_hour: Bound | None = None
    sms_per_day: Bound | None = None
    confirmation_sms_per_day: Bound | None = None
    sms_countries: str = ""

    def __post_init__(self) -> None:
        """Raises `BadSetting` for a country that there is not: its people would never be texted."""
        if unknown := self._countries() - phonenumbers.SUPPORTED_REGIONS - {EVERYWHERE, ""}:
            raise BadSetting(f"SLUICE_SMS_COUNTRIES: not ISO 3166 codes: {', '.join(sorted(unknown))}")

    def check_production(self) -> None:
        """See `Settings`: there is no catcher, and neither mails nor passwords travel in clear."""
        Settings.check_production(self)
        if not self.mail_host:
            raise BadSetting("SLUICE_MAIL_HOST must be set: production has no catcher of mails")
        if self.mail_tls == "none" and not self.may_be_plain(self.mail_host):
            raise BadSetting(
                "SLUICE_MAIL_TLS: production needs tls or starttls, or the host in SLUICE_PLAIN_HOSTS"
            )
        if self.sms_countries and not self.sms_url:
            raise BadSetting(
                "SLUICE_SMS_URL must be set for SLUICE_SMS_COUNTRIES: production has no catcher of SMS"
            )
        self.check_way("SLUICE_SMS_URL", self.sms_url)

    def limits(self) -> MessageLimits:
        """How much may be sent."""
        names = MessageLimits.__struct_fields__
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(LIMITS_OF[self.profile], **given)

    def may_text(self, number: str) -> bool:
        """Whether an E.164 number is in a country that short messages are sent to, and costs no more than others.

        What some numbers cost their caller is shared with whoever has them called ("SMS pumping").
        """
        try:
            parsed = phonenumbers.parse(number, None)
        except phonenumbers.NumberParseException:
            return False
        if phonenumbers.number_type(parsed) in COSTLY:
            return False
        return not self._countries().isdisjoint((EVERYWHERE, phonenumbers.region_code_for_number(parsed)))

    def mailer(self) -> Mailer:
        """The client of the mail server, by default the local catcher's. Raises `SecretMissing`."""
        if not self.mail_host:
            return Mailer(MailServer("localhost", self.port("smtp"), self.mail_from, tls="none"))
        tls, user, password = self.mail_tls, self.mail_user, self.mail_password()
        return Mailer(MailServer(self.mail_host, self.mail_port, self.mail_from, tls, user, password))

    def texter(self) -> Texter:
        """The client of the SMS provider, by default the local catcher's. Raises `SecretMissing`."""
        token = self.sms_token()
        url = self.sms_url or self.url("catcher")
        return Texter(SmsAccount(url, self.sms_account, token, self.sms_from))

    def mail_password(self) -> Secret:
        """The password of `mail_user`, where there is one. Raises `SecretMissing`."""
        return secret_file(self, MAIL_PASSWORD_FILE, bytes) if self.mail_host and self.mail_user else ""

    def sms_token(self) -> Secret:
        """The token of the SMS account; production needs one only where there is a provider. As above."""
        return secret_file(self, TOKEN_FILE, new_token) if self.sms_url or self.profile == "local" else ""

    def _countries(self) -> set[str]:
        return {part.strip() for part in (self.sms_countries or COUNTRIES_OF[self.profile]).split(",")}
