"""A configuration is tried out before it is put to use."""
