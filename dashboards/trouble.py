"""What the gateway refuses, in words for the person who asked."""

from connectors.gateway import GatewayRefused, GatewayUnavailable, WrongField
from dashboards import formats

AWAY = "The gateway does not answer. Nothing is known of what was just asked for: look again in a moment."


def words(error: GatewayRefused | GatewayUnavailable) -> str:
    """One or two sentences. Those of the gateway where it knows more than its code says."""
    if isinstance(error, GatewayUnavailable):
        return AWAY
    match error.code:
        case "unauthenticated":
            return "Your session has ended."
        case "forbidden":
            return "You may not do that: your role does not include it."
        case "not_found":
            return "There is no such thing, or it is not for you to see."
        case "not_confirmed":
            return "Confirm your e-mail address first: the gateway sent you a mail."
        case "rate_limited":
            return f"Too many requests. Try again in {_seconds(error)}."
        case "unavailable" | "internal":
            return "The gateway cannot do that at the moment. Try again."
        case "operation_in_progress":
            return "The processor still works on this payment. Try again in some seconds."
        case _:
            said = error.detail or f"The gateway refused it ({formats.plain(error.code, 40)})."
            return " ".join([formats.plain(said, 300), *map(_field, error.errors[:5])])


def _seconds(error: GatewayRefused) -> str:
    return f"{max(1, round(error.retry_after_s))} s"


def _field(wrong: WrongField) -> str:
    name = wrong.path.removeprefix("$.").replace("_", " ")
    return f"{formats.plain(name, 40)}: {formats.plain(wrong.message, 120)}"
