"""How long silence may last: market hours, and the rhythm of each symbol."""
