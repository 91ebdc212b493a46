"""What pages look like: the style and the icon, served by ourselves."""

from functools import cache
from pathlib import Path

from quart import Blueprint

from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint

blueprint = Blueprint("pages", __name__)

ASSETS = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
CACHEABLE = {"Cache-Control": "public, max-age=3600"}  # an upgrade is seen within the hour


@blueprint.get("/pages/<asset>")
@endpoint(scope=None, limit="public", answers={200: str}, codes=("not_found",), media="*/*")
async def read_asset(call: Call[None, None], asset: str) -> Reply:
    """Send the style or the icon of the pages."""
    if asset not in ASSETS:
        raise Problem("not_found")
    return Reply(200, _read(asset), {"Content-Type": ASSETS[asset], **CACHEABLE})


@cache
def _read(asset: str) -> bytes:
    return (Path(__file__).parent / asset).read_bytes()
