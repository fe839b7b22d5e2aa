"""The sink `notify`."""
