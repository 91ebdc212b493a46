"""Staff: whose the ids are that stand on reviews, rules, lists and stops, for those who work with them."""

from operator import attrgetter
from typing import Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.account_rights import select_accounts
from gateway.books.accounts import Account
from gateway.roles import Role
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_page

blueprint = Blueprint("staff", __name__)


class StaffMember(msgspec.Struct, frozen=True, kw_only=True):
    """An analyst or an administrator, as colleagues see them. `disabled`: nobody logs in as them any more."""

    id: str
    object: Literal["staff_member"] = "staff_member"
    name: str
    role: Role
    disabled: bool


class StaffList(Listing[StaffMember], frozen=True):
    """A page of staff, the newest first. `next_cursor` is null on the last one."""


@blueprint.get("/v1/staff")
@endpoint(scope="reviews:read", query=Page, answers={200: StaffList})
async def list_staff(call: Call[None, Page]) -> Reply:
    """List analysts and administrators by name, the newest first, without those who are no such any more."""
    shown, cursor = await read_page(call, _select, attrgetter("id"), str)
    return Reply(200, StaffList([_member(account) for account in shown], cursor))


def _select(conn: Connection, before_id: str | None, most: int) -> list[Account]:
    """A page of each role, of which the newest are that of both."""
    roles: tuple[Role, ...] = ("analyst", "admin")
    found = [account for role in roles for account in select_accounts(conn, role, before_id, most)]
    return sorted(found, key=attrgetter("id"), reverse=True)[:most]


def _member(account: Account) -> StaffMember:
    return StaffMember(
        id=account.id, name=account.name, role=account.role, disabled=account.disabled_at is not None
    )
