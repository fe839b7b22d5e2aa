"""One connection: what it decides (`session`), and how that is done (`connection`)."""
