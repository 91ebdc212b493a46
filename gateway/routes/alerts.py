"""Alerts: what needs a person, raised by the gateways and the fraud flow; staff see them."""

from datetime import datetime
from itertools import islice
from typing import Annotated, Literal

import msgspec
from quart import Blueprint

from gateway.events.alerts_inbox import RaisedAlert
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Cursors, Listing, Page

blueprint = Blueprint("alerts", __name__)

KIND_MAX = 64


class AlertPage(Page, frozen=True, forbid_unknown_fields=True):
    """Which alerts: of a `kind`; those that stand, or are over."""

    kind: Annotated[str, msgspec.Meta(max_length=KIND_MAX)] | None = None
    status: Literal["standing", "over"] | None = None


class AlertView(msgspec.Struct, frozen=True):
    """An alert, as in the view `alerts`. `over_at` is null while it stands; what the gateway raised is never over.

    `kind` says what: `label_quota`, `label_burst`, `label_drift`, `precision_drop`; others may come. `subject` is
    what it is about, `source` who raised it; `facts` are figures by name, as of its newest event. `occurred_at` is
    by the clock of what caused it.
    """

    id: str
    kind: str
    subject: str
    source: str
    facts: dict[str, float]
    occurred_at: datetime
    raised_at: datetime
    over_at: datetime | None


class AlertList(Listing[AlertView], frozen=True):
    """A page of the alerts of the last 90 days, the newest first. `next_cursor` is null on the last one."""


@blueprint.get("/v1/alerts")
@endpoint(scope="alerts:read", query=AlertPage, answers={200: AlertList}, codes=("unavailable",))
async def list_alerts(call: Call[None, AlertPage]) -> Reply:
    """List what needs, or needed, a person: unusual labels, scores that have become worse. The newest first."""
    cursors, page = Cursors(call), call.query
    before = cursors.opened(page.cursor, tuple[datetime, str]) if page.cursor else None
    found = (raised for raised in call.runtime.alerts.newest() if _is_asked(raised, page))
    shown = list(islice((r for r in found if before is None or r.place < before), page.limit + 1))
    further = cursors.sealed(shown[page.limit - 1].place) if len(shown) > page.limit else None
    return Reply(200, AlertList([_view(raised) for raised in shown[: page.limit]], further))


def _is_asked(raised: RaisedAlert, page: AlertPage) -> bool:
    status = "standing" if raised.alert.over_at is None else "over"
    return page.kind in (None, raised.alert.kind) and page.status in (None, status)


def _view(raised: RaisedAlert) -> AlertView:
    a = raised.alert
    return AlertView(a.id, a.kind, a.subject, a.source, a.facts, a.occurred_at, raised.raised_at, a.over_at)
