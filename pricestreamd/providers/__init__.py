"""What each provider says: pure adapters between bytes and the words of the house."""
