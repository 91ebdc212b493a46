"""Addresses and credentials of the processors. The defaults are those of the local sandbox."""

from typing import assert_never

from connectors.secret_files import SecretFile
from schemas.payments import PROCESSORS, ProcessorName
from schemas.settings import BadSetting, Settings, named_file

# Not secrets: the local sandbox accepts only these, and the production profile refuses them.
VISA_SECRET = "c2x1aWNlLXNhbmRib3gtc2hhcmVkLXNlY3JldCEhISE="  # noqa: S105 base64 of sluice-sandbox-shared-secret!!!!
MASTERCARD_PASSWORD = "sandbox"  # noqa: S105
PAYPAL_SECRET = "sandbox-secret"  # noqa: S105

# What `sluice keys rotate` writes, unless `SLUICE_…_FILE` names another place. A file that is there and not empty
# counts before the variable.
SECRET_FILES: dict[ProcessorName, str] = {
    "visa": "visa.secret",
    "mastercard": "mastercard.password",
    "paypal": "paypal.secret",
}


class ProcessorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses and credentials of the three processors. An empty address is that of the local sandbox.

    `visa_secret` is the shared key of CyberSource's HTTP signature, base64 as its Business Center shows it; the id
    of the key (`visa_key`) may stand before it, parted by a space: the two change together.
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

    def check_production(self) -> None:
        """See `Settings`: the sandbox's addresses and credentials are refused."""
        Settings.check_production(self)
        for name in PROCESSORS:
            self.address(name)

    def secret(self, name: ProcessorName) -> SecretFile:
        """The secret of a processor, as its file has it now, or else as it was set."""
        match name:
            case "visa":
                return self._secret(name, "SLUICE_VISA_SECRET", self.visa_secret)
            case "mastercard":
                return self._secret(name, "SLUICE_MASTERCARD_PASSWORD", self.mastercard_password)
            case "paypal":
                return self._secret(name, "SLUICE_PAYPAL_SECRET", self.paypal_secret)
            case _:
                assert_never(name)

    def _secret(self, name: ProcessorName, variable: str, given: str) -> SecretFile:
        return SecretFile(named_file(variable) or self.secrets() / SECRET_FILES[name], given)

    def address(self, name: ProcessorName) -> str:
        """The base address of a processor. Raises `BadSetting` in production for the sandbox's."""
        match name:
            case "visa":
                given, ours = self.visa_url, VISA_SECRET
            case "mastercard":
                given, ours = self.mastercard_url, MASTERCARD_PASSWORD
            case "paypal":
                given, ours = self.paypal_url, PAYPAL_SECRET
            case _:
                assert_never(name)
        is_sandbox = self.secret(name).text() == ours
        if self.profile == "production" and (is_sandbox or not given.startswith("https://")):
            raise BadSetting(f"{name}: production needs an https address and credentials of its own")
        return (given or self.url(name)).rstrip("/")
