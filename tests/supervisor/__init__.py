"""The daemon under a real supervisor."""
