"""Settings of the dashboard."""

from schemas.settings import Settings


class DashboardSettings(Settings, frozen=True, kw_only=True):
    """`dashboard_refresh_s`: seconds between two refreshes of the page.

    `dashboard_hosts`: host names that it is reached by beside `localhost`, separated by commas.
    """

    dashboard_refresh_s: float = 2
    dashboard_hosts: str = ""
