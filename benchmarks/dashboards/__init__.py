"""How fast the dashboards are at ten million payments: tiles, pages, searches, and ten people who look on."""
