"""Facts leave the house."""
