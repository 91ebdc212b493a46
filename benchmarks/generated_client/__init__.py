"""A client that a generator makes of our OpenAPI document pays with it."""
