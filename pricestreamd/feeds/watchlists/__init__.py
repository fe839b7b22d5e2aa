"""Symbols that are read from a file or a database, again and again."""
