"""How the daemon tells of itself: metrics, logs and a line of statistics."""
