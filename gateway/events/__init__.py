"""Both ends of Kafka in the gateway: the outbox goes out, verdicts come in."""
