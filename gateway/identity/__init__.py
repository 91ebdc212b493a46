"""Identity: passwords, access tokens, OAuth clients, contact details, profiles."""
