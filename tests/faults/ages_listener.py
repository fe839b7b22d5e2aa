"""A listener that writes down how old each price was when it came: since it was sent, and since it was received."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pricestreamd.model.events import PriceUpdate

# Written now and then: a file at each price would be what is measured.
EVERY = 250
_lines: list[str] = []


def on_update(update: PriceUpdate) -> None:
    """Note an update: when, seconds since it was sent, seconds since it was received."""
    now = time.time()
    _lines.append(f"{now} {now - update.timestamp} {now - update.received_at}\n")
    if len(_lines) == EVERY:
        with Path(os.environ["AGES_FILE"]).open("a") as file:
            file.writelines(_lines)
        _lines.clear()
