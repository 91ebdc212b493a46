"""Who paid is told: `transaction_completed` becomes mails and short messages, and what became of them recorded."""
