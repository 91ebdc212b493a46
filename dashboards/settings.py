"""Settings of the dashboard."""

from schemas.settings import Settings


class DashboardSettings(Settings, frozen=True, kw_only=True):
    """`dashboard_refresh_s`: seconds between two looks at the warehouse."""

    dashboard_refresh_s: float = 2
