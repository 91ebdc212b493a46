"""Features: the names that fraud rules may use, with unit, key, window, range and meaning."""

from itertools import islice

from quart import Blueprint

from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Cursors, Listing, Page
from schemas.features import FEATURES, Feature

blueprint = Blueprint("features", __name__)

ALL = tuple(FEATURES.values())
NAMES = tuple(FEATURES)


class FeatureList(Listing[Feature], frozen=True):
    """A page of the features, in the order of the documentation. `next_cursor` is null on the last one."""


@blueprint.get("/v1/features")
@endpoint(scope="rules:read", query=Page, answers={200: FeatureList})
async def list_features(call: Call[None, Page]) -> Reply:
    """List the names that rules may use: fields of a payment, features of the fraud flow, and the score."""
    cursors, page = Cursors(call), call.query
    after = cursors.opened(page.cursor, str) if page.cursor else None
    begin = 0 if after is None else NAMES.index(after) + 1
    shown = list(islice(ALL, begin, begin + page.limit))
    is_last = begin + page.limit >= len(ALL)
    return Reply(200, FeatureList(shown, None if is_last else cursors.sealed(shown[-1].name)))
