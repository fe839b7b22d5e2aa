"""Watchlists at work: each is read on time, a failure keeps its last list, also over a restart, and feeds get the rest.

Each feed has a reader, whether it has a watchlist or not, for a reload may bring one. A list that was read goes to
`Watchlists`, which leaves out what belongs to another feed, hands the rest to the client, and keeps the list in the
state. At the start the kept list counts until the first reading: a database that is away then costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from pricestreamd.config.settings import Settings
from pricestreamd.daemon.lost_symbols import lost_symbols
from pricestreamd.daemon.tracking import follow
from pricestreamd.daemon.trouble import Trouble
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.feeds.settings import FeedSettings, WatchlistSettings
from pricestreamd.feeds.watchlists.symbol_list import LastList, WatchlistError
from pricestreamd.feeds.watchlists.watchlist import Watchlist
from pricestreamd.model.errors import StateError
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.tick import symbol_key
from pricestreamd.state.store import ForeignStateError, StateStore
from pricestreamd.stream.board import Board

# So many symbols, or alerts, are named in one line of the log; the others are counted.
_NAMED = 10

_log = logging.getLogger(__name__)

ListCallback = Callable[[str, tuple[str, ...]], Awaitable[None]]
TroubleCallback = Callable[[str, str], None]


class WatchlistReader:
    """Reads the watchlist of one feed again and again. `settings` None: there is none, for the time being.

    `on_list` gets the feed and each list that was read and is believed, `on_trouble` the feed and a sentence.
    """

    def __init__(
        self, feed: str, settings: WatchlistSettings | None, *, on_list: ListCallback, on_trouble: TroubleCallback
    ) -> None:
        self.feed = feed
        self.last_success_at: float | None = None
        """When it was last read, in epoch seconds; None before the first time in this run."""
        self._on_list = on_list
        self._on_trouble = on_trouble
        self._settings: WatchlistSettings | None = None
        self._source: Watchlist | None = None
        self._last = LastList()
        self._began = -math.inf
        self._failures = 0
        self._changed = asyncio.Event()
        self.apply(settings)

    @property
    def configured(self) -> bool:
        """Whether the feed has a watchlist."""
        return self._source is not None

    def restore(self, symbols: tuple[str, ...]) -> None:
        """`symbols` were the last list of an earlier run."""
        self._last = LastList(symbols)

    def apply(self, settings: WatchlistSettings | None) -> None:
        """Take changed settings: another place is read at once, and until that succeeds the last list stays."""
        before, self._settings = self._settings, settings
        if settings == before:
            return
        if settings is None or before is None or replace(before, refresh=settings.refresh) != settings:
            if self._source is not None:
                self._source.close()
            self._source = Watchlist(self.feed, settings) if settings is not None else None
            self._began = -math.inf
            self._failures = 0
        if settings is None:
            self._last = LastList()
            self.last_success_at = None
        self._changed.set()

    async def run(self) -> None:
        """Read whenever it is time, until cancelled."""
        try:
            while True:
                self._changed.clear()
                if self._source is not None and not self._due_in():
                    await self._read(self._source)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._due_in()):
                        await self._changed.wait()
        finally:
            if self._source is not None:
                self._source.close()

    def _due_in(self) -> float | None:
        """Seconds until the next reading; None where nothing is to be read."""
        settings = self._settings
        return None if settings is None else max(0.0, self._began + settings.refresh - time.monotonic())

    async def _read(self, source: Watchlist) -> None:
        self._began = time.monotonic()
        try:
            symbols = await source.read()
        except WatchlistError as exc:
            if source is self._source:
                self._failed(exc)
            return
        if source is not self._source:  # a reload has come in between
            return
        self.last_success_at = time.time()
        if self._failures:
            _log.info("feed %s: watchlist read again after %d failures", self.feed, self._failures)
            self._failures = 0
        if self._last.take(symbols):
            await self._on_list(self.feed, symbols)
        else:
            _log.warning(
                "feed %s: watchlist %s is empty; %s until it is read empty once more",
                self.feed,
                source.place,
                self._what_stays(),
            )

    def _failed(self, error: WatchlistError) -> None:
        self._failures += 1
        self._last.missed()
        self._on_trouble(self.feed, f"{error}; {self._what_stays()}")

    def _what_stays(self) -> str:
        count = len(self._last.symbols)
        return f"its last list of {count} symbol{'' if count == 1 else 's'} stays" if count else "it has no last list"


class Watchlists:
    """The watchlists of all feeds; their last lists outlive the process in `store`. `board` tracks the symbols."""

    def __init__(self, settings: Settings, feeds: FeedGroup, board: Board, store: StateStore, trouble: Trouble) -> None:
        self.readers = {name: self._reader(name, feed) for name, feed in settings.feeds.items()}
        self._feeds = feeds
        self._board = board
        self._store = store
        self._trouble = trouble
        self._lists: dict[str, tuple[str, ...]] = {}
        self._given: dict[str, tuple[str, ...]] = {}
        self._left_out: dict[str, Mapping[str, str]] = {}
        self._saved: dict[str, tuple[str, ...]] = {}
        self._said = OncePer(60.0)

    @property
    def configured(self) -> dict[str, WatchlistReader]:
        """The readers of those feeds that have a watchlist."""
        return {name: reader for name, reader in self.readers.items() if reader.configured}

    async def restore(self) -> None:
        """Hand out the last lists of an earlier run, until each is read.

        Raises:
            ForeignStateError: the file of the state is that of a newer version, or of another program.
        """
        readers = self.configured
        if not readers:
            return
        try:
            for name, saved in (await self._store.watchlists()).items():
                if name in readers:
                    age = time.time() - saved.saved_at
                    _log.info("feed %s: until its watchlist is read, the list of %.0f s ago counts", name, age)
                    self._saved[name] = self._lists[name] = saved.symbols
                    readers[name].restore(saved.symbols)
                    self._hand_out(name)
                else:
                    await self._store.forget_watchlist(name)
        except ForeignStateError:
            raise
        except StateError as exc:
            self._trouble.state_failed(f"{exc}; the last watchlists of the run before are not known")

    def apply(self, feeds: Mapping[str, FeedSettings], *, anew: Collection[str] = ()) -> None:
        """Take changed settings, after the feeds have taken theirs; the clients of `anew` know of no list yet."""
        for name in [name for name in self.readers if name not in feeds]:
            del self.readers[name]
            self._lists.pop(name, None)
        for name in anew:
            self._given.pop(name, None)
        for name, feed in feeds.items():
            if name not in self.readers:
                self.readers[name] = self._reader(name, feed)
            self.readers[name].apply(feed.watchlist)
            if not self.readers[name].configured:
                self._lists.pop(name, None)
        for name in feeds:
            # A symbol may belong to another feed from now on.
            self._hand_out(name)

    def _reader(self, name: str, feed: FeedSettings) -> WatchlistReader:
        return WatchlistReader(name, feed.watchlist, on_list=self._listed, on_trouble=self._not_read)

    async def _listed(self, feed: str, symbols: tuple[str, ...]) -> None:
        if feed not in self.readers:  # a reload has taken the feed away in between
            return
        self._lists[feed] = symbols
        before = self._feeds.get_subscriptions()
        self._hand_out(feed)
        self._tell_lost(feed, lost_symbols(self._board.alerts(), before, self._feeds.get_subscriptions()))
        if self._saved.get(feed) == symbols:
            return
        try:
            await self._store.save_watchlist(feed, symbols)
        except StateError as exc:
            self._trouble.state_failed(f"{exc}; the watchlist of feed {feed} would be lost in a restart")
        else:
            self._saved[feed] = symbols

    def _hand_out(self, feed: str) -> None:
        """Give the client of `feed` those symbols of its list that belong to no other feed."""
        client = self._feeds.clients[feed]
        others = self._feeds.strangers(client)
        left_out: dict[str, str] = {}
        symbols = []
        for symbol in self._lists.get(feed, ()):
            owner = next((other.name for other in others if other.wants(symbol)), None)
            if owner is None:
                symbols.append(symbol)
            else:
                left_out[symbol] = owner
        self._tell_left_out(feed, left_out)
        before, after = self._given.get(feed, ()), tuple(symbols)
        if after == before:
            return
        self._given[feed] = after
        client.set_watchlist(after)
        follow(self._board, self._feeds)
        old, new = set(map(symbol_key, before)), set(map(symbol_key, after))
        _log.info("feed %s: watchlist: %d symbols (+%d -%d)", feed, len(new), len(new - old), len(old - new))

    def _tell_left_out(self, feed: str, left_out: Mapping[str, str]) -> None:
        if left_out and left_out != self._left_out.get(feed):
            named = ", ".join(f"{symbol} (feed {owner})" for symbol, owner in list(left_out.items())[:_NAMED])
            more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
            _log.warning("feed %s: watchlist: of another feed, so ignored: %s%s", feed, named, more)
        self._left_out[feed] = left_out

    # --- trouble

    def _tell_lost(self, feed: str, sentences: list[str]) -> None:
        """Nobody looks when a watchlist changes: whoever waits for an alert has to hear that it will not come."""
        if sentences:
            more = f"; and {len(sentences) - _NAMED} more alerts" if len(sentences) > _NAMED else ""
            told = f"feed {feed}: watchlist: {'; '.join(sentences[:_NAMED])}{more}"
            self._trouble.tell("warning", "watchlist", told, feed=feed)

    def _not_read(self, feed: str, message: str) -> None:
        held = self._said.admit(feed, time.monotonic())
        if held is not None:
            self._trouble.tell("warning", "watchlist", f"feed {feed}: watchlist: {message}", held, feed=feed)
