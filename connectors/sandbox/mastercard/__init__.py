"""Mastercard's twin: the Mastercard Gateway's REST wire."""
