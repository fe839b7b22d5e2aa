"""The sink `postgres`."""
