"""The API gateway: accounts, cards, payments, and the one path a payment takes."""
