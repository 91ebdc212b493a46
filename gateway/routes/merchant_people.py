"""Who acts for a merchant: invited by mail, as viewer, operator or owner."""

from typing import Any

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.free_text import ContactText, Unstored
from gateway.identity import contacts, merchant_people
from gateway.identity.merchant_people import Acting, Invitation, PersonView
from gateway.roles import MerchantRole
from gateway.routes.merchants import check_own
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from gateway.web.paging import Listing, Page, read_page
from schemas.ids import new_id

blueprint = Blueprint("merchant_people", __name__)


class NewPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`viewer` reads, `operator` captures and refunds too, `owner` also changes clients and people."""

    email: ContactText
    role: MerchantRole
    name: ContactText | None = None


class FormerPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to be taken out: the address of their account."""

    email: Unstored


class PersonList(Listing[PersonView], frozen=True):
    """A page of people, who came first being first. `next_cursor` is null on the last one."""


@blueprint.get("/v1/merchants/<merchant>/people")
@endpoint(scope="merchants:manage", query=Page, answers={200: PersonList}, codes=("not_found",))
async def list_people(call: Call[None, Page], merchant_id: str) -> Reply:
    """List who acts for one's own merchant; for admins any."""
    check_own(call, merchant_id)

    def page(conn: Connection, after_id: str | None, most: int) -> list[PersonView]:
        return merchant_people.list_people(conn, merchant_id, after_id, most)

    shown, cursor = await read_page(call, page, lambda person: person.id, str)
    return Reply(200, PersonList(list(shown), cursor))


@blueprint.post("/v1/merchants/<merchant>/people")
@endpoint(
    scope="merchants:manage",
    limit="invitations",
    body=NewPerson,
    answers={201: Acting},
    codes=("not_found", "email_taken", "wrong_state"),
    idempotency="accepted",
)
async def add_person(call: Call[NewPerson, None], merchant_id: str) -> Reply:
    """Have a person act for one's own merchant, or as something else; they are invited by mail.

    A person acts for one merchant, with an account of its own: an address that has one already is refused (409
    `email_taken`), but for that of a person who was taken out. The last owner stays one (409 `wrong_state`).
    """
    check_own(call, merchant_id)
    body = call.body
    email = contacts.email(body.email)
    asked = Invitation(
        new_id=new_id("acc"),
        merchant_id=merchant_id,
        email=email,
        name=contacts.name(email.partition("@")[0] if body.name is None else body.name),
        role=body.role,
        invited_by=call.caller.actor_id,
    )
    return await write_once(call, 201, merchant_people.add, call.runtime.confirmation_rules, asked)


@blueprint.delete("/v1/merchants/<merchant>/people")
@endpoint(scope="merchants:manage", body=FormerPerson, answers={204: None}, codes=("not_found", "wrong_state"))
async def remove_address(call: Call[FormerPerson, None], merchant_id: str) -> Reply:
    """Take the person with an address out; the same as by their `id`."""
    check_own(call, merchant_id)
    person_id = await call.runtime.books.read(merchant_people.find, merchant_id, call.body.email)
    return await _removed(call, merchant_id, person_id)


@blueprint.delete("/v1/merchants/<merchant>/people/<person>")
@endpoint(scope="merchants:manage", answers={204: None}, codes=("not_found", "wrong_state"))
async def remove_person(call: Call[None, None], merchant_id: str, person_id: str) -> Reply:
    """Take a person out: they are refused from their next request on. The last owner stays (409 `wrong_state`)."""
    check_own(call, merchant_id)
    return await _removed(call, merchant_id, person_id)


async def _removed(call: Call[Any, None], merchant_id: str, person_id: str) -> Reply:
    await call.runtime.books.write(merchant_people.remove, merchant_id, person_id, call.caller.actor_id)
    return Reply(204)
