"""The demo's shoppers: they pay through the public HTTP API and use nothing else of the gateway."""
