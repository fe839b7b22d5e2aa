"""How many symbols and connections a feed may have: what is configured, what is documented, what the provider shows."""

from __future__ import annotations

from collections.abc import Iterable

from pricestreamd.feeds.placement import Room
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.providers.profile import Profile

# A limit that the provider has shown may have been a ghost of a connection: believed so long, in seconds, and each
# further time twice as long, until nothing has been shown for longer than the longest of these.
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
        given = self.settings.max_symbols_per_connection or self._profile.max_symbols_per_connection
        symbols, connections = _least(given, self._symbols_shown), _least(self._given, self._connections_shown)
        return Room(tuple(sorted(slots))[:connections], symbols, connections)

    @property
    def _given(self) -> int | None:
        """How many connections are configured, or documented."""
        return self.settings.max_connections or self._profile.max_connections

    def shown_symbols(self, count: int, now: float) -> None:
        """The provider holds no more than `count` symbols on a connection."""
        self._symbols_shown = count
        self._believe(now)

    def shown_connections(self, count: int, now: float) -> None:
        """The provider allows no more than `count` connections now."""
        self._connections_shown = count
        self._believe(now)

    def _believe(self, now: float) -> None:
        if now > self._until + _HOLDS_AT_MOST:
            self._holds = _HOLDS
        self._until = now + self._holds
        self._holds = min(self._holds * 2, _HOLDS_AT_MOST)

    def try_more(self, now: float) -> bool:
        """Whether it is time to try what the provider has refused: one more connection, and as many symbols on each."""
        if (self._symbols_shown is None and self._connections_shown is None) or now < self._until:
            return False
        self._symbols_shown = None
        if self._connections_shown is not None:
            self._connections_shown += 1
            if self._given is not None and self._connections_shown >= self._given:
                self._connections_shown = None
        self._until = now + _HOLDS
        return True

    def forget(self) -> None:
        """What the provider has shown may hold no longer: something has changed."""
        self._symbols_shown = self._connections_shown = None
        self._holds = _HOLDS

    def in_words(self) -> str:
        """Why a symbol may be without a place."""
        room = self.room(())
        connections = "1 connection" if room.slots_at_most == 1 else f"{room.slots_at_most} connections"
        shown = self._symbols_shown is not None or self._connections_shown is not None
        how = "has shown that it allows" if shown else "is given"
        return f"the feed {how} {connections} of {room.symbols} symbols"


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
