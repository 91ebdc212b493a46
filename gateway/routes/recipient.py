"""Whom to tell about a payment, and how: asked by the notifications service at the moment of sending."""

from quart import Blueprint

from gateway.books import accounts
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import NotFound
from gateway.identity.profiles import notifications
from schemas.notifications import Recipient

blueprint = Blueprint("recipient", __name__)


@blueprint.get("/v1/accounts/<account>/recipient")
@endpoint(scope="contacts:read", answers={200: Recipient}, codes=("not_found",))
async def read_recipient(call: Call, account: str) -> Reply:
    """Show an account's addresses and wishes. Nobody but a service may ask."""
    found = await call.parts.books.read(accounts.by_id, account)
    if found is None:
        raise NotFound
    wishes = notifications(found)
    recipient = Recipient(
        channels={str(kind): channels for kind, channels in wishes.preferences.items()},
        locale=wishes.locale,
        time_zone=wishes.time_zone,
        email=found.email,
        phone=found.phone,
        quiet_hours=wishes.quiet_hours,
    )
    return Reply(200, recipient)
