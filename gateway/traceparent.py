"""W3C trace context: the id that ties a request to its log lines, its events and what they cause.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from secrets import token_hex

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(given: str | None) -> str:
    """The caller's `traceparent` where it is well formed, else a new one."""
    if given and TRACEPARENT.fullmatch(given):
        return given
    return f"00-{token_hex(16)}-{token_hex(8)}-01"


def trace_id(parent: str) -> str:
    """The 32 hex digits that all spans of a trace share."""
    return parent[3:35]
