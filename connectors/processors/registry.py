"""The processors there are: what each can do, and how each is opened."""

from collections.abc import Callable

from connectors.processors.access_token import AccessToken
from connectors.processors.contract import Capabilities, Processor
from connectors.processors.http_signature import Signer, signer_of
from connectors.processors.mastercard import Mastercard
from connectors.processors.paypal import PayPal
from connectors.processors.settings import ProcessorSettings
from connectors.processors.transport import Transport
from connectors.processors.visa import Visa
from schemas.payments import ProcessorName

# Of the classes, so that pure code can ask without a connection.
CAPABILITIES: dict[ProcessorName, Capabilities] = {
    vendor.name: vendor.capabilities for vendor in (Visa, Mastercard, PayPal)
}


def open_processors(settings: ProcessorSettings, call_timeout_s: float = 10.0) -> dict[ProcessorName, Processor]:
    """A client per processor; call it inside the event loop that will use them, and `close()` each at the end.

    Raises `BadSetting` in production for a processor that has the sandbox's address or credentials.
    """
    visa = Transport(settings.address("visa"), call_timeout_s)
    mastercard = Transport(settings.address("mastercard"), call_timeout_s)
    paypal = Transport(settings.address("paypal"), call_timeout_s)
    return {
        "visa": Visa(visa, _signers(settings)),
        "mastercard": Mastercard(mastercard, settings.mastercard_merchant, settings.secret("mastercard")),
        "paypal": PayPal(paypal, AccessToken(paypal, settings.paypal_client, settings.secret("paypal"))),
    }


def _signers(settings: ProcessorSettings) -> Callable[[], Signer]:
    secret = settings.secret("visa")
    return lambda: signer_of(settings.visa_merchant, settings.visa_key, secret.text())
