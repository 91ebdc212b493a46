"""The demo's shoppers: they keep paying through the HTTP API, as clients who know nothing else would."""
