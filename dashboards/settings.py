"""Settings of the dashboards."""

from urllib.parse import urlsplit

import msgspec

from schemas.settings import BadSetting, Settings, is_this_machine


class DashboardSettings(Settings, frozen=True, kw_only=True):
    """`dashboard_refresh_s`: seconds between two refreshes of the page.

    `dashboard_hosts`: host names that it is reached by beside `localhost`, separated by commas. `dashboard_url`:
    its own address in browsers (default: its port on localhost), to which the gateway sends who logged in.
    `public_url`: the gateway's in browsers (default: the local one).
    """

    dashboard_refresh_s: float = 2
    dashboard_hosts: str = ""
    dashboard_url: str = ""
    public_url: str = ""

    def __post_init__(self) -> None:
        """Fill in the addresses. Raises `BadSetting` where one would let cookies or tokens travel in clear."""
        for name, default in (("dashboard_url", "dashboard"), ("public_url", "gateway")):
            given = (getattr(self, name) or self.url(default)).rstrip("/")
            if not _is_safe(given):
                raise BadSetting(f"SLUICE_{name.upper()} must be https, or http on this machine, without a path")
            msgspec.structs.force_setattr(self, name, given)


def is_local(url: str) -> bool:
    """Whether the host of a URL is this machine by its name."""
    return is_this_machine(urlsplit(url).hostname or "")


def _is_safe(url: str) -> bool:
    at = urlsplit(url)
    is_bare = at.hostname and not (at.path or at.query or at.fragment or at.username)
    return bool(is_bare) and (at.scheme == "https" or (at.scheme == "http" and is_local(url)))
