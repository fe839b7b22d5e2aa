"""The price stream service: a client's ticks through the engine, and the engine's face for programs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.errors import AuthenticationFailed
from pricestreamd.model.events import (
    Event,
    FeedConnected,
    FeedDisconnected,
    FeedEvent,
    FeedReconnecting,
    PriceChange,
    PriceGap,
    PriceResumed,
    PriceStale,
)
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.interface import EventSource, StreamStats, TickJudge, WebSocketInterface
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alarm import Alarm
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.explain import AlertExplanation
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.engine import StreamEngine
from pricestreamd.stream.history import HistoryEntry
from pricestreamd.stream.settings import HistorySettings, StreamSettings

_log = logging.getLogger(__name__)
_FEED_EVENTS: dict[str, type[FeedEvent]] = {
    "connected": FeedConnected,
    "disconnected": FeedDisconnected,
    "reconnecting": FeedReconnecting,
}


class PriceStreamService:
    """Turns what `client` receives into events on `dispatcher`: updates, changes, spikes, alerts, history.

    `client` is anything of the shape of `WebSocketInterface`. Without `settings` the documented defaults hold.
    `hours_of` knows the market hours of a symbol, for alerts that depend on sessions.
    """

    def __init__(
        self,
        client: WebSocketInterface,
        dispatcher: EventDispatcher,
        settings: StreamSettings | None = None,
        *,
        hours_of: HoursOf | None = None,
    ) -> None:
        self.client = client
        self._judge = client if isinstance(client, TickJudge) else None
        self.dispatcher = dispatcher
        self.engine = StreamEngine(
            settings or StreamSettings(),
            dispatcher,
            on_reject=self._rejected,
            clock=time.time,
            monotonic=time.monotonic,
            hours_of=hours_of,
        )
        self.board = self.engine.board
        self._alarm = Alarm(self.engine)
        for event in (PriceGap, PriceStale, PriceResumed):
            dispatcher.attach(event.event, self._missed, name="price stream", ours=True)
        self._started_at: float | None = None
        self._updates_before = 0
        self._attached = False
        self._said = OncePer(60.0)

    # --- life

    async def start(self, symbols: Iterable[str]) -> None:
        """Connect and subscribe; return when every symbol is answered for, or after the subscribe timeout.

        Whatever goes wrong, nothing is left running.

        Raises:
            FeedError: the connection could not be opened; it says why.
        """
        wanted = list(symbols)
        self.begin(wanted)
        try:
            await self.client.connect()
            await self.client.subscribe(wanted)
        except BaseException:
            await self.stop()
            raise

    def begin(self, symbols: Iterable[str]) -> None:
        """Take the client's ticks of `symbols` from now on, without connecting: the client is run by somebody else."""
        if not self._attached:
            self._attached = True
            self.client.on_message(self.engine.on_tick)
            self.client.on_connection(self._connection_changed)
            self.client.on_error(self._client_failed)
            if isinstance(self.client, EventSource):
                self.client.on_event(self.dispatcher.dispatch)
        self.board.track(symbols)
        self._updates_before = self.engine.sequence
        self._started_at = time.monotonic()
        self._alarm.start()

    async def run(self, symbols: Iterable[str]) -> None:
        """Start, and serve until `stop`; raise what is fatal."""
        await self.start(symbols)
        try:
            await self.client.listen()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Unsubscribe, close the connection, and be still. Stopping twice is no error."""
        self._started_at = None
        self._alarm.stop()
        await self.client.disconnect()

    @property
    def is_running(self) -> bool:
        """Whether the stream was started and not stopped."""
        return self._started_at is not None

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Add symbols to the stream."""
        wanted = list(symbols)
        self.board.track(wanted)
        await self.client.subscribe(wanted)

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Remove symbols, with their history; their alerts keep their state for the case that they come back."""
        unwanted = list(symbols)
        await self.client.unsubscribe(unwanted)
        self.board.untrack(unwanted)

    # --- settings

    def set_min_change_percent(self, percent: float) -> None:
        """Dispatch `price.change` from moves of `percent` on."""
        if not percent >= 0:
            raise ValueError(f"min_change_percent is 0 or more, not {percent!r}")
        self.engine.apply(replace(self.engine.settings, min_change_percent=float(percent)))

    def set_history_tracking(self, enabled: bool, size: int = 1000) -> None:
        """Keep the last `size` prices of each symbol, or none."""
        if size < 0:
            raise ValueError(f"a history holds 0 entries or more, not {size!r}")
        self.engine.apply(replace(self.engine.settings, history=HistorySettings(enabled=enabled, size=size)))

    def set_alert(self, symbol: str, conditions: Mapping[str, Any] | None = None, /, **more: Any) -> str:
        """Set an alert on `symbol`: `set_alert("AAPL", above=200, once=True)`, or a mapping; return its id.

        Names are those of the configuration (`for` needs a mapping); durations are seconds or texts such as `10m`.

        Raises:
            AlertError: no condition, an unknown one, or a value that makes no sense.
        """
        rule = AlertRule.from_mapping(symbol, {**(conditions or {}), **more})
        self.board.set_alert(rule)
        return rule.alert_id

    def clear_alerts(self, symbol: str) -> None:
        """Remove every alert on `symbol`; an alert on several symbols, or on a glob, stays for the others."""
        self.board.clear_alerts(symbol)

    def rearm_alert(self, alert_id: str, symbol: str | None = None) -> bool:
        """Let an alert begin anew, for `symbol` or for all of its symbols. False: there is none."""
        return self.board.rearm(alert_id, symbol)

    # --- questions

    def explain_alert(self, alert_id: str, symbol: str) -> AlertExplanation | None:
        """Why the alert did or did not fire for `symbol`; None where it does not cover it."""
        return self.engine.alerts.explain(alert_id, symbol)

    def get_history(self, symbol: str, limit: int | None = None) -> list[HistoryEntry]:
        """The last `limit` prices of `symbol`, oldest first."""
        return self.board.history(symbol, limit)

    def get_last_price(self, symbol: str) -> float | None:
        """The last price of `symbol`; None before its first tick."""
        state = self.board.state(symbol)
        return state.price if state is not None else None

    def get_all_prices(self) -> dict[str, float]:
        """The last price of every symbol that has one."""
        return {state.symbol: state.price for state in self.board.by_symbol.values() if state.price is not None}

    def get_stats(self) -> StreamStats:
        """Counters since the service was made; `uptime` and `updates_per_second`, its mean, since the last start."""
        uptime = time.monotonic() - self._started_at if self._started_at is not None else 0.0
        updates = self.engine.sequence
        return {
            "running": self.is_running,
            "uptime": uptime,
            "updates_received": updates,
            "changes_detected": self.dispatcher.event_counts.get(PriceChange.event, 0),
            "alerts_triggered": self.engine.alerts_fired,
            "symbols_tracked": len(self.board.by_symbol),
            "alerts_active": self.board.alerts_active(),
            "updates_per_second": (updates - self._updates_before) / uptime if uptime else 0.0,
            "websocket_stats": self.client.get_stats(),
        }

    @property
    def rejected(self) -> Mapping[tuple[str, str], int]:
        """(feed, reason) to the number of ticks that the stream refused."""
        return self.engine.rejected

    @property
    def dispatch_seconds(self) -> Histogram:
        """Seconds from receipt to the return of the last listener, one tick in 64."""
        return self.engine.dispatch_seconds

    @property
    def alerts_fired(self) -> int:
        """Firings of all alerts."""
        return self.engine.alerts_fired

    @property
    def alerts_blind(self) -> int:
        """Alerts that cannot see what they wait for, for some symbol."""
        return self.board.alerts_blind()

    # --- what the client tells

    def _rejected(self, tick: Tick, reason: str) -> None:
        if self._judge is not None:
            self._judge.refuse(tick)
        held = self._said.admit(reason, time.monotonic())
        if held is not None:
            text = "tick rejected (%s): %.40r at %.40r from feed %s"
            _log.warning(text, reason, tick.symbol, tick.price, tick.feed, extra={"suppressed": held})

    def _connection_changed(self, change: str, data: Mapping[str, Any]) -> None:
        kind = _FEED_EVENTS.get(change)
        if kind is None:
            return
        if kind is FeedConnected:
            self.engine.alerts.feed_since.setdefault(data.get("feed", ""), self.dispatcher.clock())
        run = self.dispatcher.run
        self.dispatcher.dispatch(
            kind(
                run=run.name,
                number=run.next_number(),
                timestamp=self.dispatcher.clock(),
                feed=data.get("feed", ""),
                connection=data.get("connection", 0),
                delay_seconds=data.get("delay"),
                **{name: data.get(name) for name in ("host", "port", "attempt", "reason")},
            )
        )

    def _missed(self, event: Event) -> None:
        match event:
            case PriceGap():
                self.board.mark_gap(event.symbols, event.from_time, event.to_time)
            case PriceResumed():
                self.engine.alerts.on_resumed(event)
            case PriceStale():
                self.engine.alerts.on_stale(event)

    def _client_failed(self, error: str, exc: Exception) -> None:
        fatal = isinstance(exc, AuthenticationFailed)
        feed, message = getattr(exc, "feed", None) or None, str(exc) or type(exc).__name__
        self.dispatcher.error(
            error,
            # Whoever reads the sentence alone has to know whose it is.
            message if feed is None or message.startswith(f"feed {feed}") else f"feed {feed}: {message}",
            severity="critical" if fatal else "warning",
            feed=feed,
            symbol=getattr(exc, "symbol", None),
            fatal=fatal,
        )
