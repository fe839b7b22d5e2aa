"""What becomes of the facts of a feed: they are counted, logged and told to whoever wants to hear them."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pricestreamd.feeds.connection.commands import (
    Answered,
    CapReached,
    Connected,
    Disconnected,
    Fact,
    Failed,
    Live,
    PricesMissed,
    Reconnecting,
    Resumed,
    Stale,
    SymbolsRejected,
)
from pricestreamd.feeds.connection.connection import Connection
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.model.errors import AuthenticationFailed, FeedError, SubscriptionRejected
from pricestreamd.model.events import PriceError, PriceGap, PriceResumed, PriceStale, Run, Severity
from pricestreamd.model.interface import ConnectionCallback, ErrorCallback, MessageCallback
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact
from pricestreamd.model.vigil import Vigil
from pricestreamd.providers.base import Rejected

FeedEvent = PriceStale | PriceResumed | PriceGap | PriceError
EventCallback = Callable[[FeedEvent], object]

_log = logging.getLogger(__name__)
# Goes on while the machine is suspended, which `time.monotonic` need not do.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# Failures that will not go away by themselves: somebody has to look at a certificate.
_ERRORS = frozenset({"tls"})
# What goes to `on_error` becomes a `price.error` in a daemon; where a sink writes that to the log, this line stays out.
_TOLD_AS = {"told_as": PriceError.event}
# Symbols in one line; `/api/v1/symbols` has them all.
_NAMED = 50
# Of a frame that gave no tick; in hexadecimal this is just under 120 characters.
_DUMPED_BYTES = 40


class Announcer:
    """The callbacks of the feed `name`. One that raises is logged by its name and counted, and stops nothing.

    `on_change` is called after every fact, whatever it was. `run` numbers the events.
    """

    def __init__(self, name: str, run: Run, on_change: Callable[[], None]) -> None:
        self.name = name
        self.counters = FeedCounters()
        """What is counted of the feed itself, and of connections that are gone."""
        self.callbacks: tuple[MessageCallback, ...] = ()
        self.connection_callbacks: tuple[ConnectionCallback, ...] = ()
        self.error_callbacks: tuple[ErrorCallback, ...] = ()
        self.event_callbacks: tuple[EventCallback, ...] = ()
        self.vigil = Vigil(functools.partial(time.clock_gettime, _ELAPSED), time.time)
        """Whoever looks at the feed's clocks keeps it."""
        self.was_live = False
        self.last_error: str | None = None
        self._run = run
        self._on_change = on_change
        self._said = OncePer(60.0)
        self._said_parked = OncePer(3600.0)

    def told(self, fact: Fact, connection: Connection) -> None:  # noqa: C901 - one case a fact, nothing else
        """Something happened on `connection`."""
        match fact:
            case Connected():
                self._connected(connection)
            case Disconnected():
                self._disconnected(fact, connection)
            case Reconnecting(attempt, delay, reason):
                self.counters.reconnects[reason] = self.counters.reconnects.get(reason, 0) + 1
                _log.info("feed %s: attempt %d in %.1f s (%s)", self.name, attempt, delay, reason)
                self._tell("reconnecting", connection, attempt=attempt, delay=delay, reason=reason)
            case Live(again):
                self._went_live(connection, again=again)
            case Stale(seconds):
                _log.warning("feed %s: no price for %.1f s", self.name, seconds)
                self._emit(PriceStale(*self._stamp(), None, self.name, seconds))
            case Resumed(seconds):
                _log.info("feed %s: prices again after %.1f s", self.name, seconds)
                self._emit(PriceResumed(*self._stamp(), None, self.name, seconds))
            case SymbolsRejected(symbols):
                self._symbols_rejected(symbols)
            case PricesMissed(symbols, count):
                self._prices_missed(symbols, count)
            case CapReached(symbols=held):
                _log.warning("feed %s: the provider holds no more than %d symbols on a connection", self.name, held)
            case Failed(word, error):
                connection.last_error = redact(str(error))
                self.failed(word, error)
            case Answered():
                pass
        self._on_change()

    def replacing(self, connection: Connection, reason: str) -> None:
        """`connection` is about to be replaced, without a break."""
        self.counters.reconnects[reason] = self.counters.reconnects.get(reason, 0) + 1
        _log.info("feed %s: connection %d is replaced (%s)", self.name, connection.number, reason)

    def rejected(self, message: Rejected, data: bytes) -> None:
        """A frame gave no tick: count it, and show a piece of it once a minute."""
        counts = self.counters.rejected
        counts[message.reason] = counts.get(message.reason, 0) + 1
        held = self._said.admit(("rejected", message.reason), time.monotonic())
        if held is not None:
            # Redacted before it becomes hexadecimal, where no key would be recognised.
            text = redact(data[: 4 * _DUMPED_BYTES].decode("latin-1")).encode("latin-1", "replace")
            dump = text[:_DUMPED_BYTES].hex(" ")
            _log.warning(
                "feed %s: frame rejected (%s): %s", self.name, message.reason, dump, extra={"suppressed": held}
            )

    def callback_failed(self, callback: object, exc: Exception) -> None:
        """A callback raised: count it, and say so once a minute."""
        self.counters.callback_errors += 1
        name = getattr(callback, "__qualname__", type(callback).__qualname__)
        held = self._said.admit(("callback", name), time.monotonic())
        if held is not None:
            _log.error("feed %s: callback %s raised", self.name, name, exc_info=exc, extra={"suppressed": held})

    def _connected(self, connection: Connection) -> None:
        self.counters.reconnections += connection.openings > 1
        _log.info("feed %s: connected to %s:%s", self.name, connection.host, connection.port)
        self._tell("connected", connection, host=connection.host, port=connection.port)

    def _disconnected(self, fact: Disconnected, connection: Connection) -> None:
        level = logging.INFO if fact.expected else logging.WARNING
        _log.log(level, "feed %s: disconnected (%s)", self.name, fact.reason)
        if connection.gap is None:
            heard_at = connection.counters.last_message_at or time.time()
            connection.gap = (self.vigil.heard_until(heard_at), fact.reason)
        self._tell("disconnected", connection, host=connection.host, port=connection.port, reason=fact.reason)

    def _went_live(self, connection: Connection, *, again: bool) -> None:
        subscriptions = connection.session.subscriptions
        symbols = tuple(subscriptions.wanted)
        self.was_live = True
        count = subscriptions.confirmed_count
        _log.info("feed %s: live with %d symbol%s", self.name, count, "" if count == 1 else "s")
        connection.last_error = None
        if again and connection.gap is not None and symbols:
            since, reason = connection.gap
            run, number, now = self._stamp()
            # A clock that was set back meanwhile must not make a gap that ends before it begins.
            self._emit(PriceGap(run, number, now, self.name, symbols, min(since, now), now, reason))
        connection.gap = None

    def unplaced(self, symbols: Sequence[str], wanted: int, why: str) -> None:
        """`symbols`, of so many `wanted` ones, have no place on any connection."""
        named = ", ".join(symbols[:_NAMED]) + (" and more" if len(symbols) > _NAMED else "")
        _log.warning("feed %s: no place for %d of %d symbols (%s): %s", self.name, len(symbols), wanted, why, named)

    def symbol_stale(self, symbol: str, seconds: float) -> None:
        """No price of `symbol` for longer than it ever waits, while its market is open."""
        _log.info("feed %s: no price of %s for %.1f s", self.name, symbol, seconds)
        self._emit(PriceStale(*self._stamp(), symbol, self.name, seconds))

    def symbol_resumed(self, symbol: str, seconds: float) -> None:
        """A price of `symbol` again."""
        _log.info("feed %s: prices of %s again after %.1f s", self.name, symbol, seconds)
        self._emit(PriceResumed(*self._stamp(), symbol, self.name, seconds))

    def taken_over(self, backup: str, symbols: Sequence[str], since: float | None) -> None:
        """Feed `backup` delivers `symbols` now; nobody has since `since`, epoch seconds."""
        run, number, now = self._stamp()
        self._emit(PriceGap(run, number, now, self.name, tuple(symbols), since or now, now, "backup"))
        self._handed_over(f"feed {self.name}: {backup} takes over {len(symbols)} symbols", "warning", logging.WARNING)

    def given_back(self, backup: str, count: int) -> None:
        """This feed delivers again what `backup` has delivered for it."""
        self._handed_over(f"feed {self.name}: {backup} gives back {count} symbols", "info", logging.INFO)

    def _handed_over(self, message: str, severity: Severity, level: int) -> None:
        _log.log(level, message, extra=_TOLD_AS)
        run, number, now = self._stamp()
        self._emit(PriceError(run, number, now, severity=severity, error="backup", message=message, feed=self.name))

    def _prices_missed(self, symbols: tuple[str, ...], count: int) -> None:
        self.counters.missed += count
        held = self._said.admit("missed", time.monotonic())
        if held is not None:
            _log.warning("feed %s: %d prices of %s missed", self.name, count, symbols, extra={"suppressed": held})
        run, number, now = self._stamp()
        self._emit(PriceGap(run, number, now, self.name, symbols, now, now, "sequence"))

    def _symbols_rejected(self, symbols: Mapping[str, str]) -> None:
        self.counters.subscriptions_rejected += len(symbols)
        for symbol, reason in symbols.items():
            _log.warning("feed %s: %s refused: %s", self.name, symbol, reason, extra=_TOLD_AS)
            error = SubscriptionRejected(f"{symbol}: {reason}", symbol=symbol, feed=self.name)
            self._call(self.error_callbacks, error.reason, error)

    def failed(self, word: str, error: FeedError) -> None:
        """Something failed that the operator should know of; `word` is stable."""
        self.last_error = redact(str(error))
        if isinstance(error, AuthenticationFailed):
            held, level, what = self._said_parked.admit("parked", time.monotonic()), logging.ERROR, "parked"
        else:
            held = self._said.admit(("failed", word), time.monotonic())
            level, what = (logging.ERROR if word in _ERRORS else logging.WARNING), word
        if held is not None:
            _log.log(level, "feed %s: %s: %s", self.name, what, self.last_error, extra={"suppressed": held, **_TOLD_AS})
        self._call(self.error_callbacks, word, error)

    def ended(self, error: BaseException) -> None:
        """The life of the feed has ended with `error`, which is raised to whoever follows it."""
        self.last_error = redact(str(error)) or type(error).__name__
        if not isinstance(error, FeedError):
            _log.error("feed %s: ended by an internal error", self.name, exc_info=error)

    def _tell(self, change: str, connection: Connection, **details: Any) -> None:
        data = {"feed": self.name, "connection": connection.number, **details}
        self._call(self.connection_callbacks, change, data)

    def _emit(self, event: FeedEvent) -> None:
        self._call(self.event_callbacks, event)

    def _call(self, callbacks: Iterable[Callable[..., object]], *args: object) -> None:
        for callback in callbacks:
            try:
                callback(*args)
            except Exception as exc:  # noqa: BLE001 - a listener: whatever it does, the feed goes on
                self.callback_failed(callback, exc)

    def _stamp(self) -> tuple[str, int, float]:
        return self._run.name, self._run.next_number(), time.time()
