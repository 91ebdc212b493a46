"""Every route × everybody × own and foreign objects: each is answered as the table of rights says.

The cells are made of the app's own routes: a new one without a row fails. One gateway, no password hashed.
"""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from gateway.web.openapi import EXAMPLES, declared
from tests.gateway.actors import Actor, Actors
from tests.gateway.conftest import LOOPBACK, Answer, Gateway
from tests.gateway.routes.rights import FORBIDDEN_FIELDS, PUBLIC, REFUSED, ROUTES, WHO, Row
from tests.gateway.routes.worlds import PAYERS, World, build, new_card, new_entry, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDING = {"POST /v1/logout", "DELETE /v1/me", "POST /v1/me/totp"}  # whoever asks for it has a spare account
OWN_AND_FOREIGN = ("own", "foreign")


class Setting(msgspec.Struct, frozen=True):
    """Our world and another one, one table of merchants, and those whom nobody admits."""

    gateway: Gateway
    actors: Actors
    ours: World
    theirs: World
    refused: dict[str, Actor]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(gateway: Gateway) -> Setting:
    actors = Actors(gateway)
    return Setting(gateway, actors, await build(actors), await build(actors), await refused(actors))


def expected(row: Row, who: str, whose: str) -> int:
    """The status of a cell."""
    match row.sign(who), whose:
        case ("a", _) | ("o", "own"):
            return row.done
        case ("o" | "s", "foreign") | ("n", _):
            return 404
        case ("s", "own") | (".", _):
            return 403
        case sign:
            raise AssertionError(sign)


def has_object(route: str, row: Row) -> bool:
    """Whether it is about something that is somebody's."""
    named = re.findall(r"\{(\w+)\}", msgspec.json.encode(row.body).decode()) if row.body else []
    return "<" in route or bool({*named} - {"shop", "new"})


def cells() -> Iterator[tuple[str, Row, str, str]]:
    """Each route, its row, who asks, and whose object it is about."""
    for route, row in ROUTES.items():
        for who in WHO:
            for whose in OWN_AND_FOREIGN if has_object(route, row) else ("own",):
                yield route, row, who, whose


def filled(template: Any, names: dict[str, str]) -> Any:
    """A body with ids in place of their names."""
    text = msgspec.json.encode(template).decode()
    return msgspec.json.decode(re.sub(r"\{(\w+)\}", lambda found: names[found[1]], text))


async def ask(
    setting: Setting, route: str, row: Row, token: str | None, names: dict[str, str], ip: str = LOOPBACK
) -> Answer:
    """Ask for a route with a row's body, about what has these names."""
    method, path = route.split()
    path = re.sub(r"<(\w+)>", lambda found: names.get(found[1], "none"), path)
    query = "?" + re.sub(r"\{(\w+)\}", lambda found: names[found[1]], row.query) if row.query else ""
    body = None if row.body is None else filled(row.body, names)
    return await setting.gateway.ask(method, path + query, body, token, ip, idempotency_key=uuid4().hex)


async def asker(setting: Setting, route: str, who: str) -> Actor:
    """Who asks; where nothing is left of one who did, another one like it."""
    if route not in ENDING:
        return setting.ours.actors[who]
    return (await spare(setting, who)) or setting.ours.actors[who]


async def spare(setting: Setting, who: str) -> Actor | None:
    match who:
        case "customer" | "analyst" | "admin":
            return await setting.actors.new(who)  # type: ignore[arg-type]
        case "owner" | "operator" | "viewer":
            merchant_id = await setting.actors.merchant()
            await setting.actors.person(merchant_id, "owner")  # who stays
            return await setting.actors.person(merchant_id, who)  # type: ignore[arg-type]
        case "app":
            account_id = await setting.actors.account("customer")
            return await setting.actors.log_in(account_id, "customer", setting.ours.app_id, PAYERS)
        case _:
            return None


async def test_every_route_has_a_row(gateway: Gateway) -> None:
    routes = {f"{method} {rule.rule}": rules for rule, method, rules, _ in declared(gateway.app)}
    assert routes.keys() == ROUTES.keys() | PUBLIC
    assert {route for route, rules in routes.items() if rules.scope is None} == PUBLIC


async def test_every_cell_is_answered_as_the_table_says(setting: Setting) -> None:
    wrong, count = [], 0
    for route, row, who, whose in cells():
        world = setting.ours if whose == "own" else setting.theirs
        names = world.names(who) | {"shop": setting.ours.ids["merchant"]}
        if route == "DELETE /v1/cards/<card>":
            names["card"] = await new_card(setting.actors, world.owners[world.payer(who)])
        if route == "DELETE /v1/lists/<entry>":
            names["entry"] = await new_entry(setting.actors)
        answer = await ask(setting, route, row, (await asker(setting, route, who)).token, names)
        count += 1
        if answer.status != expected(row, who, whose):
            wrong.append(f"{who} on {whose}: {route} is {answer.status} {answer.code}")
    print(f"\n{count} cells", *wrong, sep="\n")
    assert wrong == []
    assert count > 400


async def test_whoever_has_no_right_at_all_is_refused_everywhere(setting: Setting) -> None:
    wrong = []
    for route, row in ROUTES.items():
        for at, who in enumerate(REFUSED):
            token = setting.refused[who].token if who in setting.refused else None
            names = setting.ours.names(who) | {"shop": "acc"}
            answer = await ask(setting, route, row, token, names, f"192.0.2.{at}")  # an address has 200 of them
            if answer.code != "unauthenticated":
                wrong.append(f"{who}: {route} is {answer.status}")
    assert wrong == []


async def test_a_public_route_answers_everybody_as_a_stranger(setting: Setting) -> None:
    wrong = []
    for route in sorted(PUBLIC - {"GET /metrics"}):
        row = Row("", 0, None if route.startswith("GET") else {})
        stranger = await ask(setting, route, row, None, {})
        for who, actor in (setting.ours.actors | setting.refused).items():
            if (await ask(setting, route, row, actor.token, {})).status != stranger.status:
                wrong.append(f"{who}: {route}")
    assert wrong == []


async def test_no_body_takes_what_nobody_may_set(setting: Setting) -> None:
    taken, count = [], 0
    for rule, method, rules, _ in declared(setting.gateway.app):
        if rules.body is None:
            continue
        route, fields = f"{method} {rule.rule}", set(rules.body.__struct_fields__)
        row = ROUTES.get(route, Row("", 0))
        who = next((who for who in reversed(WHO) if row.signs and row.sign(who) in "ao"), None)
        token = None if who is None else setting.ours.actors[who].token
        for name in sorted({*FORBIDDEN_FIELDS} - fields):
            asked = Row("", 0, EXAMPLES[rules.body.__name__] | {name: "x"})
            answer = await ask(setting, route, asked, token, setting.ours.names(who or ""))
            count += 1
            named = [error["path"] for error in answer.json["errors"]] if answer.code == "invalid_request" else []
            if named != [f"$.{name}"]:
                taken.append(f"{route} takes {name}: {answer.status} {named}")
    print(f"\n{count} fields")
    assert taken == []
