"""The HTTP face: one blueprint per noun. Whoever adds one lists it here."""

from quart import Blueprint

from gateway.routes import health

BLUEPRINTS: tuple[Blueprint, ...] = (health.blueprint,)
