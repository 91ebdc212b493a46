"""An app that is written on npm's openid-client logs somebody in at a stack."""
