"""When the symbols of a replay trade: by the feeds of a configuration, else by their provider and their spelling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.hours import Hours, hours_of
from pricestreamd.feeds.terms import profile_of
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.catalogue import profile
from pricestreamd.providers.profile import Profile

# Where nothing else is known: equities that name no exchange are American.
_HOME_PROVIDER = "twelvedata"


class ReplayHours:
    """Knows the market hours that the daemon would go by.

    `feeds` gives those of the configuration, and is asked when the first symbol is. They decide about the symbols that
    they list, by name or by a glob of their `market_hours`; where there is one feed only, about all. Otherwise the
    spelling of the symbol decides, and the provider that told of it in the file, if one did: `profile_of`.
    """

    def __init__(
        self,
        feeds: Callable[[], Mapping[str, FeedSettings]] = dict,
        profile_of: Callable[[str], Profile | None] = lambda _: None,
    ) -> None:
        self._ask_feeds = feeds
        self._profile_of = profile_of
        self._feeds: Mapping[str, FeedSettings] | None = None
        self._owners: dict[str, FeedSettings] = {}

    def of(self, symbol: str) -> Hours | None:
        """The market hours of `symbol`; None where nobody knows them."""
        if self._feeds is None:
            self._feeds = self._ask_feeds()
            self._owners = _owners(self._feeds)
        feed = self._owner(symbol_key(symbol), self._feeds)
        if feed is not None:
            try:
                return hours_of(symbol, feed.market_hours, profile_of(feed))
            except ValueError:
                # A provider or a calendar that is not known here; whoever reads the feeds for use tells of it.
                pass
        return hours_of(symbol, "auto", self._profile_of(symbol) or profile(_HOME_PROVIDER))

    def _owner(self, key: str, feeds: Mapping[str, FeedSettings]) -> FeedSettings | None:
        """The feed whose symbol it is, or would be."""
        if key in self._owners:
            return self._owners[key]
        for feed in feeds.values():
            globs = feed.market_hours if isinstance(feed.market_hours, Mapping) else ()
            if any(fnmatchcase(key, symbol_key(glob)) for glob in globs):
                return feed
        return next(iter(feeds.values())) if len(feeds) == 1 else None


def _owners(feeds: Mapping[str, FeedSettings]) -> dict[str, FeedSettings]:
    """The feed of each listed symbol, as it is compared: the one that is not only the backup of the other."""
    wanting: dict[str, list[str]] = {}
    for name, feed in feeds.items():
        for symbol in feed.symbols:
            wanting.setdefault(symbol_key(symbol), []).append(name)
    found = {}
    for key, names in wanting.items():
        backups = {feeds[name].backup for name in names}
        found[key] = feeds[next((name for name in names if name not in backups), names[0])]
    return found
