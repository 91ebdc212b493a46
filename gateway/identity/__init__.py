"""Who logs in and what they may do: passwords, tokens, roles, profiles."""
