"""Saying the same thing once a minute: who may speak now, and how often was it silent before."""

from __future__ import annotations

from collections.abc import Hashable


class OncePer:
    """Lets one occurrence of each key through in `seconds`, and counts those it held back. Bounded to `limit` keys."""

    __slots__ = ("_held", "_limit", "_seconds")

    def __init__(self, seconds: float = 60.0, limit: int = 1000) -> None:
        self._seconds = seconds
        self._limit = limit
        self._held: dict[Hashable, tuple[float, int]] = {}

    def admit(self, key: Hashable, now: float) -> int | None:
        """None: hold it back. A number: let it through, after so many held back since the last one."""
        spoke, held = self._held.get(key, (None, 0))
        if spoke is not None and 0 <= now - spoke < self._seconds:
            self._held[key] = (spoke, held + 1)
            return None
        if key not in self._held and len(self._held) >= self._limit:
            self._held.pop(next(iter(self._held)))
        self._held[key] = (now, 0)
        return held
