"""The sink `nats`."""
