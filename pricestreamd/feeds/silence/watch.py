"""Once a second, a look at what time alone tells: silent symbols, market hours, and connections that grow old.

Nothing here is on the path of a tick. Of a symbol only its last tick is known, by the feed's own memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from pricestreamd.feeds.announcer import Announcer
from pricestreamd.feeds.connection.backoff import Dice
from pricestreamd.feeds.connection.connection import Connection
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.hours import Hours, hours_of
from pricestreamd.feeds.silence.rhythm import SymbolClocks
from pricestreamd.model.tick import Tick
from pricestreamd.providers.profile import Profile

# A connection is replaced somewhat before its provider closes it, and not all of them at the same moment.
_LIFETIME_SHARE = (0.85, 0.95)


@dataclass(slots=True)
class _Watched:
    """What is known of a connection. `revision` and `live`: as they were when `symbols` was read."""

    revision: int = -1
    live: bool = False
    symbols: frozenset[str] = frozenset()
    hours: frozenset[Hours | None] = frozenset()
    opened_at: float | None = None
    replace_at: float | None = None


class Watch:
    """The clocks of one feed's symbols and connections. `now` is monotonic, `at` is epoch seconds."""

    def __init__(
        self, settings: FeedSettings, profile: Profile, announcer: Announcer, latest: dict[str, Tick], dice: Dice
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._announcer = announcer
        self._latest = latest
        self._dice = dice
        self._watched: dict[Connection, _Watched] = {}
        # The connection that each symbol is expected on: one that takes it over may be looked at first.
        self._expected_on: dict[str, Connection] = {}
        self._hours: dict[str, Hours | None] = {}
        self._clocks = SymbolClocks(_symbol_limit(settings), self.hours_of)

    @property
    def stale(self) -> frozenset[str]:
        """The symbols of which no price has come for too long."""
        return frozenset(self._clocks.stale) if self._settings.stale_after.symbol is not None else frozenset()

    def hours_of(self, symbol: str) -> Hours | None:
        """When prices of `symbol` may be expected; None: always, for nobody knows."""
        if symbol not in self._hours:
            self._hours[symbol] = hours_of(symbol, self._settings.market_hours, self._profile)
        return self._hours[symbol]

    def market_open(self, at: float, wanted: Iterable[str]) -> bool:
        """Whether prices of any subscribed symbol may be expected at `at`; True where there are none.

        `wanted`: the symbols that count while nothing is connected.
        """
        hours = {one for watched in self._watched.values() for one in watched.hours}
        return _any_open(hours or set(map(self.hours_of, wanted)), at)

    def configure(self, settings: FeedSettings) -> None:
        """Take new limits and hours; what was learned stays where the limits stay."""
        before, self._settings = self._settings, settings
        if (before.stale_after, before.market_hours) != (settings.stale_after, settings.market_hours):
            for symbol in self.stale:  # judged anew from now on
                self._announcer.symbol_resumed(symbol, 0.0)
            self._hours.clear()
            self._watched.clear()
            self._expected_on.clear()
            self._clocks = SymbolClocks(_symbol_limit(settings), self.hours_of)

    def pause_all(self) -> None:
        """Nothing is connected any more."""
        for connection in list(self._watched):
            self.forget(connection)

    def forget(self, connection: Connection) -> None:
        """`connection` is no slot's any more."""
        watched = self._watched.pop(connection, None)
        if watched is not None:
            self._expect(watched.symbols, frozenset(), connection, 0.0)

    def look_at(self, connection: Connection, now: float, at: float) -> None:
        """See which symbols prices may be expected of, and tell the session whether their market is open."""
        session = connection.session
        watched = self._watched.setdefault(connection, _Watched())
        revision, live = session.subscriptions.revision, session.state == "live"
        if (watched.revision, watched.live) != (revision, live):
            symbols = frozenset(session.subscriptions.confirmed if live else ())
            self._expect(watched.symbols, symbols, connection, now)
            watched.revision, watched.live, watched.symbols = revision, live, symbols
            watched.hours = frozenset(map(self.hours_of, session.subscriptions.wanted))
        if (is_open := _any_open(watched.hours, at)) != session.market_open:
            connection.perform(session.set_market_open(now, is_open=is_open))

    def look(self, connection_of: Callable[[str], Connection | None], now: float, at: float) -> None:
        """See which symbols are silent for too long, and which are heard again; ask anew for the silent ones, once."""
        news = self._clocks.look(self._latest, now, at)
        if self._settings.stale_after.symbol is not None:
            silent: dict[Connection, list[str]] = {}
            for symbol, seconds in news.stale:
                self._announcer.symbol_stale(symbol, seconds)
                if (connection := connection_of(symbol)) is not None:
                    silent.setdefault(connection, []).append(symbol)
            for connection, symbols in silent.items():
                connection.perform(connection.session.resubscribe(symbols, now))
            for symbol, seconds in news.resumed:
                self._announcer.symbol_resumed(symbol, seconds)
        if self._settings.stale_after.connection == "learned" and news.stale:
            self._replace_silent(dict(news.stale), now)

    def outlived(self, connection: Connection, now: float) -> bool:
        """Whether `connection` is so old that its provider will close it before long."""
        lifetime, watched = self._profile.lifetime, self._watched.get(connection)
        if lifetime is None or watched is None or connection.opened_at is None or not connection.session.is_open:
            return False
        if watched.opened_at != connection.opened_at:
            watched.opened_at = connection.opened_at
            watched.replace_at = connection.opened_at + lifetime * self._dice(*_LIFETIME_SHARE)
        return watched.replace_at is not None and now >= watched.replace_at

    def _expect(self, before: frozenset[str], after: frozenset[str], connection: Connection, now: float) -> None:
        for symbol in after - before:
            self._expected_on[symbol] = connection
            self._clocks.expect(symbol, now)
        for symbol in before - after:
            if self._expected_on.get(symbol) is not connection:
                continue
            del self._expected_on[symbol]
            if symbol in connection.session.subscriptions:
                self._clocks.pause(symbol)
            else:
                self._clocks.forget(symbol)
                self._hours.pop(symbol, None)

    def _replace_silent(self, silent: dict[str, float], now: float) -> None:
        """A connection whose last symbols have joined the `silent` ones: all are so for longer than they ever are."""
        for connection, watched in list(self._watched.items()):
            found = watched.symbols & silent.keys()
            if found and watched.symbols <= self._clocks.stale:
                seconds = min(silent[symbol] for symbol in found)
                connection.perform(connection.session.give_up_as_stale(seconds, now))


def _any_open(hours: Iterable[Hours | None], at: float) -> bool:
    hours = list(hours)
    return not hours or any(one is None or one.is_open(at) for one in hours)


def _symbol_limit(settings: FeedSettings) -> float | Literal["learned"] | None:
    limits = settings.stale_after
    return "learned" if limits.symbol is None and limits.connection == "learned" else limits.symbol
