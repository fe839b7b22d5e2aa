"""A provider of our own: speaks every provider's dialect."""
