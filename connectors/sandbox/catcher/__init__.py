"""A catcher of mails and short messages for one machine: nothing it takes ever leaves it."""
