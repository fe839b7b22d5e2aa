"""A stream for tests: ticks in, the events that came out of each."""

from typing import Any

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import Event, PriceAlert, PriceUpdate, Run
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.engine import StreamEngine
from pricestreamd.stream.settings import HistorySettings, SpikeSettings, StreamSettings, SuspectSettings

# No rule of the stream gets in the way of what a test is about.
PLAIN: dict[str, Any] = {"suspect": None, "min_change_percent": 1000.0, "spike": SpikeSettings(percent=10_000.0)}


class Stream:
    """An engine whose events are all heard. `settings` are those of the stream, by name.

    `since`: it is live, and has listened since then; its clocks are `now` and `wall`, which is `now` unless it is set.
    """

    def __init__(
        self,
        *symbols: str,
        adopt: bool = False,
        listen: bool = True,
        since: float | None = None,
        hours_of: HoursOf | None = None,
        **settings: Any,
    ) -> None:
        self.now = since or 0.0
        self.wall: float | None = None
        self.dispatcher = EventDispatcher(Run("run"), clock=self._wall)
        self.rejections: list[tuple[str, str]] = []
        self.engine = StreamEngine(
            StreamSettings(**settings),
            self.dispatcher,
            adopt=adopt,
            on_reject=lambda tick, reason: self.rejections.append((tick.symbol, reason)),
            clock=self._wall if since is not None else None,
            monotonic=(lambda: self.now) if since is not None else None,
            hours_of=hours_of,
        )
        self.board = self.engine.board
        self.board.track(symbols or ("AAPL",))
        self.events: list[Event] = []
        if listen:
            self.dispatcher.on("*", self.events.append)

    def _wall(self) -> float:
        return self.now if self.wall is None else self.wall

    def pass_time(self, at: float) -> list[Event]:
        """It is `at`, and no tick has come; the events of what was due."""
        before = len(self.events)
        while (due := self.engine.next_deadline()) is not None and due <= at:
            self.now = max(self.now, due)
            self.engine.on_time(self.now)
        self.now = at
        return self.events[before:]

    def tick(self, price: Any, at: float | None = None, symbol: Any = "AAPL", **fields: Any) -> list[Event]:
        """One tick, a second after the last one unless `at` says otherwise; the events that came of it, and of time."""
        before = len(self.events)
        self.pass_time(self.now + 1.0 if at is None else at)
        shared = {"timestamp": self.now, "received_at": self.now, "volume": None, "currency": None, "feed": "us"}
        self.engine.on_tick(Tick(symbol=symbol, price=price, **shared | fields))
        return self.events[before:]

    def names(self, price: Any, at: float | None = None, **fields: Any) -> list[str]:
        """The names of the events of one tick, without `price.`."""
        return [event.event.removeprefix("price.") for event in self.tick(price, at, **fields)]

    def update(self, price: Any, at: float | None = None, **fields: Any) -> PriceUpdate:
        """The update of one tick."""
        (event,) = [event for event in self.tick(price, at, **fields) if type(event) is PriceUpdate]
        return event

    def alerts(self, price: Any, at: float | None = None, **fields: Any) -> list[PriceAlert]:
        """The alerts of one tick."""
        return [event for event in self.tick(price, at, **fields) if isinstance(event, PriceAlert)]

    def reasons(self, price: Any, at: float | None = None, **fields: Any) -> list[str]:
        """The reasons of the alerts of one tick."""
        return [event.alert_reason for event in self.alerts(price, at, **fields)]

    def set_alert(self, symbol: str = "AAPL", *, revive: bool = True, **conditions: Any) -> AlertRule:
        """Set an alert as `PriceStreamService.set_alert` does."""
        rule = AlertRule.from_mapping(symbol, conditions)
        self.board.set_alert(rule, revive=revive)
        return rule


__all__ = ["PLAIN", "HistorySettings", "SpikeSettings", "Stream", "StreamSettings", "SuspectSettings"]
