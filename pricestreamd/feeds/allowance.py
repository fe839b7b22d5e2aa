"""How many symbols and connections a feed may have: what is configured, what is documented, what the provider shows."""

from __future__ import annotations

from collections.abc import Iterable

from pricestreamd.feeds.placement import Room
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.providers.profile import Profile

# A limit that the provider has shown may have been a ghost of a connection: believed so long, in seconds, and each
# further time twice as long.
_HOLDS = 900.0
_HOLDS_AT_MOST = 14_400.0


class Allowance:
    """The limits of one feed. Times are those of one monotonic clock."""

    def __init__(self, settings: FeedSettings, profile: Profile) -> None:
        self.settings = settings
        self._profile = profile
        self._symbols_shown: int | None = None
        self._connections_shown: int | None = None
        self._until = 0.0
        self._holds = _HOLDS

    def room(self, slots: Iterable[int]) -> Room:
        """What symbols may be placed on, where `slots` are in use."""
        settings, profile = self.settings, self._profile
        symbols = _least(settings.max_symbols_per_connection or profile.max_symbols_per_connection, self._symbols_shown)
        connections = _least(settings.max_connections or profile.max_connections, self._connections_shown)
        return Room(tuple(sorted(slots))[:connections], symbols, connections)

    def shown_symbols(self, count: int) -> None:
        """The provider holds no more than `count` symbols on a connection."""
        self._symbols_shown = count

    def shown_connections(self, count: int, now: float) -> None:
        """The provider allows no more than `count` connections now."""
        self._connections_shown = count
        self._until = now + self._holds
        self._holds = min(self._holds * 2, _HOLDS_AT_MOST)

    def try_more(self, now: float | None = None) -> bool:
        """Whether one more connection may be tried than the provider has shown to allow; `now` None: in any case."""
        if self._connections_shown is None or (now is not None and now < self._until):
            return False
        self._connections_shown = None
        return True

    def in_words(self) -> str:
        """Why a symbol may be without a place."""
        room = self.room(())
        connections = "1 connection" if room.slots_at_most == 1 else f"{room.slots_at_most} connections"
        shown = self._symbols_shown is not None or self._connections_shown is not None
        how = "has shown that it allows" if shown else "is given"
        return f"the feed {how} {connections} of {room.symbols} symbols"


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
