"""What the daemon answers to those who ask, and does for those who may change something."""
