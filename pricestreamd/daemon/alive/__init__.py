"""Whether the daemon is well, and who is told."""
