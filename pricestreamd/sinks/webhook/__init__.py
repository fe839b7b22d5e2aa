"""The sink `webhook`."""
