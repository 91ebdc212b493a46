"""Settings of the dashboard."""

from schemas.settings import Settings


class DashboardSettings(Settings, frozen=True, kw_only=True):
    """`dashboard_refresh_s`: seconds between two refreshes of the page."""

    dashboard_refresh_s: float = 2
