"""Payers are notified: `transaction_completed` events become mails and short messages."""
