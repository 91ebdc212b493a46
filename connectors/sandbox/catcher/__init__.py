"""A catcher of mails and short messages: nothing it receives leaves the machine."""
