"""`Feed`: one source of prices as the daemon keeps it: its symbols, its connections, and what is asked about them."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pricestreamd.feeds.announcer import Announcer, EventCallback
from pricestreamd.feeds.connection.connection import Connection, FrameCallback
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.feeds.pool import Pool
from pricestreamd.feeds.reports import client_stats, connection_report, feed_state, symbol_reports
from pricestreamd.feeds.settings import LIVE_SETTINGS, FeedSettings
from pricestreamd.feeds.terms import new_adapter, profile_of
from pricestreamd.feeds.transports.dialler import Dialler
from pricestreamd.feeds.transports.endpoint import endpoint_fault
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.feeds.wishes import Wisher, Wishes
from pricestreamd.model.events import Run
from pricestreamd.model.interface import (
    ClientStats,
    ConnectionCallback,
    ConnectionState,
    ErrorCallback,
    FeedReport,
    MessageCallback,
    SymbolReport,
)
from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.providers.base import Adapter


class Feed:
    """The feed `name` of `settings`: as many connections as its symbols need, one to begin with.

    `run` numbers the events of `on_event`. `gate`: shared by the feeds of one process, so that they do not all dial at
    once. `on_frame` sees every message as it came, before it is decoded. Callbacks are plain functions, called in the
    order of their registration; one that raises is logged and counted, and stops nothing.

    Raises:
        ValueError: no such provider, or an endpoint that cannot be one.
    """

    def __init__(
        self,
        name: str,
        settings: FeedSettings,
        *,
        run: Run | None = None,
        gate: DialGate | None = None,
        on_frame: FrameCallback | None = None,
    ) -> None:
        self.name = name
        self.provider = settings.provider
        self.settings = settings
        self.profile = profile_of(settings)
        address = self.settings.endpoint or self.profile.endpoint
        fault = endpoint_fault(address, transport=self.profile.transport, allow_plaintext=settings.allow_plaintext)
        if fault is not None:
            raise ValueError(f"endpoint: {fault}")
        self._announcer = Announcer(self.name, run or Run(secrets.token_hex(4)), self._changed)
        self._wishes = Wishes()
        self._dialler = Dialler(self.settings, self.profile, address, gate or DialGate())
        self._pool = Pool(
            self.settings,
            self.profile,
            self._announcer,
            new_adapter=self._new_adapter,
            dial=self._dialler.dial,
            options=self._dialler.options,
            dice=random.uniform,
            on_frame=on_frame,
        )
        self._wish("yaml", self.settings.symbols)

    def retry_now(self) -> None:
        """Dial at once if the feed is parked or waiting: something has changed."""
        self._pool.retry_now()

    def follow(self, other: Feed) -> None:
        """Begin where `other` ends: what nobody hears in between was missed, and is told of as a gap."""
        heard_at = other.counters.last_message_at
        if heard_at is not None:
            for connection in self.connections:
                connection.gap = (heard_at, "replaced")
                connection.session.expect_gap()

    def _changed(self) -> None:
        """Something has happened; for those to override who wait for it."""

    # --- symbols

    def want(self, symbols: Iterable[str]) -> None:
        """As `subscribe`, without waiting for any answer."""
        names = names_in(symbols)
        self._wishes.add("api", names)
        self._pool.want(names)

    def unwant(self, symbols: Iterable[str]) -> None:
        """As `unsubscribe`, for plain functions."""
        names = names_in(symbols)
        self._wishes.withdraw("api", names)
        self._pool.unwant(names)

    def set_watchlist(self, symbols: Iterable[str]) -> None:
        """Want `symbols` because a watchlist names them, instead of those that it named before.

        A symbol that the configuration or a program wants stays when the watchlist drops it.
        """
        self._wish("watchlist", names_in(symbols))

    def stand_in_for(self, symbols: Iterable[str]) -> None:
        """Want `symbols` because another feed cannot deliver them, instead of those before."""
        self._wish("backup", names_in(symbols))

    def _wish(self, wisher: Wisher, symbols: Iterable[str]) -> None:
        new, gone = self._wishes.replace(wisher, symbols)
        if gone:
            self._pool.unwant(gone)
        if new:
            self._pool.want(new)

    def get_subscriptions(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""
        return self._pool.places.wanted

    def wants(self, symbol: str) -> bool:
        """Whether `symbol` is wanted here, in whatever spelling."""
        return symbol in self._pool.places

    def apply(self, settings: FeedSettings) -> None:
        """Take changed settings on the open connections: symbols, room, reconnection, heartbeat, silence, and the key.

        Symbols that did not come from the settings stay. A changed key counts from the next dial. A refused connection
        is dialled at once, whether the key has changed here or its plan at the provider. What else has changed
        (endpoint, TLS, sizes) needs a new client, and nothing of it is taken before.
        """
        self.settings = replace(self.settings, **{name: getattr(settings, name) for name in LIVE_SETTINGS})
        self._pool.configure(self.settings)
        self._wish("yaml", settings.symbols)
        if any(connection.session.state == "parked" for connection in self.connections):
            self.retry_now()

    # --- callbacks

    def on_message(self, callback: MessageCallback) -> None:
        """Call `callback` with each tick."""
        self._pool.callbacks = (*self._pool.callbacks, callback)

    def forget_message(self, callback: MessageCallback) -> None:
        """Call `callback` no more."""
        self._pool.callbacks = tuple(known for known in self._pool.callbacks if known != callback)

    def refuse(self, tick: Tick) -> None:
        """Whoever gets `tick` now, from `on_message`, cannot use it: a feed that brings nothing else is silent."""
        self._pool.refused = tick

    def on_connection(self, callback: ConnectionCallback) -> None:
        """Call `callback` with a word and a mapping that always holds `feed` and `connection` (the slot).

        `connected`: and `host`, `port`. `disconnected`: and `host`, `port`, `reason`. `reconnecting`: and `attempt`,
        `delay` (seconds), `reason`.
        """
        self._announcer.connection_callbacks = (*self._announcer.connection_callbacks, callback)

    def on_error(self, callback: ErrorCallback) -> None:
        """Call `callback` with a stable word and the exception, a `FeedError`.

        Failed dials, connections lost without a goodbye, complaints of the provider, a refused key
        (`AuthenticationFailed`, `auth`) and refused symbols (`SubscriptionRejected`, `subscription`).
        """
        self._announcer.error_callbacks = (*self._announcer.error_callbacks, callback)

    def on_event(self, callback: EventCallback) -> None:
        """Call `callback` with records of what data did, or did not do.

        `PriceStale`, `PriceResumed`, `PriceGap`, and `PriceError` when a backup takes over or gives back.
        """
        self._announcer.event_callbacks = (*self._announcer.event_callbacks, callback)

    # --- questions

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The present connection of each slot."""
        return tuple(self._pool.connections.values())

    @property
    def counters(self) -> FeedCounters:
        """What this feed has counted, over all its connections."""
        return self._pool.counters

    @property
    def looks(self) -> int | None:
        """How often this feed has looked at its connections, once a second; None while it does not run."""
        return self._pool.looks

    @property
    def was_live(self) -> bool:
        """Whether this feed was ever subscribed: its key is known to have been good."""
        return self._announcer.was_live

    @property
    def is_connected(self) -> bool:
        """Whether all its connections are open now."""
        return all(connection.session.is_open for connection in self.connections)

    @property
    def state(self) -> ConnectionState:
        """That of its connections (see `feeds.connection.session`), the worst where they differ."""
        return feed_state(self._pool)

    @property
    def market_open(self) -> bool:
        """Whether prices of any subscribed symbol may be expected now."""
        return self._pool.watch.market_open(time.time(), self._pool.places.wanted)

    @property
    def stale_symbols(self) -> frozenset[str]:
        """The symbols of which no price has come for too long, while their market is open."""
        return self._pool.watch.stale

    @property
    def refused_symbols(self) -> frozenset[str]:
        """The wanted symbols that the provider has refused, as they are compared."""
        return frozenset(key for one in self.connections for key in one.session.subscriptions.rejected)

    @property
    def unplaced_symbols(self) -> frozenset[str]:
        """The wanted symbols that no connection has room for, as they are compared."""
        return frozenset(map(symbol_key, self._pool.places.unplaced))

    def get_stats(self) -> ClientStats:
        """Counters of this client. `uptime`: of the youngest connection; 0 unless all are open."""
        return client_stats(self._announcer, self._pool)

    def undelivered(self) -> tuple[frozenset[str], frozenset[str]]:
        """The symbols that no connection delivers now, and those of them that have been silent or refused for long."""
        down: dict[bool, set[str]] = {False: set(self._pool.places.unplaced), True: set()}
        for connection in self.connections:
            state = connection.session.state
            if state != "live":
                down[state in ("stale", "parked")].update(connection.session.subscriptions.wanted)
        return frozenset(down[False] | down[True]), frozenset(down[True])

    def handed_over(self, backup: str, taken: Sequence[str], given_back: int) -> None:
        """`backup` has taken over symbols of this feed, or given some back."""
        if taken:
            self._announcer.taken_over(backup, taken, since=self.counters.last_message_at)
        if given_back:
            self._announcer.given_back(backup, given_back)

    def report(self) -> FeedReport:
        """This feed, for people and programs that ask."""
        connections = [connection_report(connection) for connection in self.connections]
        return {
            "provider": self.provider,
            "state": self.state,
            "backup": self.settings.backup,
            "market_open": self.market_open,
            "connections": connections,
        }

    def symbol_reports(self) -> list[SymbolReport]:
        """Every wanted symbol, in the order in which they were asked for."""
        return symbol_reports(self.name, self._pool, self._wishes.source)

    def _new_adapter(self) -> Adapter:
        return new_adapter(self.name, self.settings)


def names_in(symbols: Iterable[str]) -> list[str]:
    """`symbols` as a list; a text is none, although its letters could be read as symbols."""
    if isinstance(symbols, str):
        raise TypeError(f"symbols is a list of texts: [{symbols!r}]")
    return list(symbols)
