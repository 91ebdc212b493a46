"""Payers are notified: `transaction_completed` and `refund.succeeded` become mails and short messages."""
