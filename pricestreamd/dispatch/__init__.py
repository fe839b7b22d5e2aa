"""Facts are handed out to listeners."""
