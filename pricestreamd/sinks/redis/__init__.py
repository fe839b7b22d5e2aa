"""The sink `redis`."""
