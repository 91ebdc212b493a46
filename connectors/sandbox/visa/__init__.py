"""Visa's twin: CyberSource's REST wire."""
