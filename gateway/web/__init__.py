"""The HTTP machine: how a route is declared, checked, answered, logged and described."""
