"""Addresses and credentials of the processors. The defaults are those of the local sandbox."""

from typing import assert_never

from schemas.payments import ProcessorName
from schemas.settings import BadSetting, Settings

# Not secrets: the local sandbox accepts only these, and the production profile refuses them.
VISA_SECRET = "c2x1aWNlLXNhbmRib3gtc2hhcmVkLXNlY3JldCEhISE="  # noqa: S105 base64 of sluice-sandbox-shared-secret!!!!
MASTERCARD_PASSWORD = "sandbox"  # noqa: S105
PAYPAL_SECRET = "sandbox-secret"  # noqa: S105


class ProcessorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses and credentials of the three processors. An empty address is that of the local sandbox.

    `visa_secret` is the shared key of CyberSource's HTTP signature, base64 as its Business Center shows it.
    """

    visa_url: str = ""
    visa_merchant: str = "sluice_sandbox"
    visa_key: str = "sandbox-key"
    visa_secret: str = VISA_SECRET
    mastercard_url: str = ""
    mastercard_merchant: str = "SLUICE"
    mastercard_password: str = MASTERCARD_PASSWORD
    paypal_url: str = ""
    paypal_client: str = "sandbox-client"
    paypal_secret: str = PAYPAL_SECRET

    def __repr__(self) -> str:
        return "ProcessorSettings(…)"

    __str__ = __repr__

    def address(self, name: ProcessorName) -> str:
        """The base address of a processor. Raises `BadSetting` in production for the sandbox's."""
        match name:
            case "visa":
                given, is_sandbox = self.visa_url, self.visa_secret == VISA_SECRET
            case "mastercard":
                given, is_sandbox = self.mastercard_url, self.mastercard_password == MASTERCARD_PASSWORD
            case "paypal":
                given, is_sandbox = self.paypal_url, self.paypal_secret == PAYPAL_SECRET
            case _:
                assert_never(name)
        if self.profile == "production" and (is_sandbox or not given.startswith("https://")):
            raise BadSetting(f"{name}: production needs an https address and credentials of its own")
        return (given or self.url(name)).rstrip("/")
