"""The durable lane: what must not be lost, delivered from the outbox, each delivery by its own clock."""
