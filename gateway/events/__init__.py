"""The gateway's use of Kafka: it publishes the outbox and reads the fraud flow's verdicts."""
