"""Facts that must last."""
