"""The past through the same stream."""
