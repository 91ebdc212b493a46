"""The words everyone shares: money, states, events and topics. Imports nothing of ours."""
