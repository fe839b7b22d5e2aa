"""The stream on a virtual clock: the engine and the alerts of the daemon, fed with ticks whose times are all there is.

The time is the largest timestamp so far. Whatever an alert waits for happens when that reaches its deadline, before
the tick that brought it there; so the same ticks give the same events.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.events import PriceAlert, Run
from pricestreamd.model.tick import Tick
from pricestreamd.replay.clock import VirtualClock
from pricestreamd.replay.firings import AlertAccount, FiringBook
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.engine import RejectHook, StreamEngine
from pricestreamd.stream.settings import AlertStormSettings, HistorySettings, StreamSettings

RUN_NAME = "replay"
"""The run of every replay, in front of its event ids."""


class VirtualStream:
    """Takes every symbol that comes. Attach listeners to `dispatcher`, then `feed` it.

    `first` is the time of the first tick, None before it. `hours_of` knows market hours. A history of prices is kept
    only with `keep_history`: listeners are given events, and nobody else is there to ask. `storm` says what is one.
    """

    def __init__(
        self,
        settings: StreamSettings,
        alerts: Iterable[AlertRule],
        hours_of: HoursOf,
        *,
        storm: AlertStormSettings | None = None,
        keep_history: bool = False,
        on_reject: RejectHook | None = None,
    ) -> None:
        if not keep_history:
            settings = replace(settings, history=HistorySettings(enabled=False))
        self.first: float | None = None
        self.clock = VirtualClock()
        self.dispatcher = EventDispatcher(Run(RUN_NAME), clock=self.clock.read)
        self.engine = StreamEngine(
            settings,
            self.dispatcher,
            adopt=True,
            on_reject=on_reject,
            monotonic=self.clock.read,
            hours_of=hours_of,
        )
        for rule in alerts:
            self.engine.board.set_alert(rule)
        self._firings = FiringBook((storm or AlertStormSettings()).per_minute)
        self.dispatcher.attach(PriceAlert.event, self._firings.hear, name="replay account of alerts", ours=True)

    def feed(self, ticks: Iterable[Tick]) -> bool:
        """Hand ticks to the engine, each at its time. False: there was none."""
        clock, on_tick, deadlines = self.clock, self.engine.on_tick, self.engine.board.ledger.deadlines
        latest = clock.now
        tick = None
        for tick in ticks:
            if tick.timestamp > latest or self.first is None:
                clock.now = latest = tick.timestamp
                if self.first is None:
                    self.first = latest
                if latest >= deadlines.earliest:
                    self.engine.on_time(latest)
            on_tick(tick)
        return tick is not None

    def let_time_pass(self, until: float = math.inf) -> None:
        """Without a tick: to `until`, or to where no alert waits for anything any more."""
        while (due := self.engine.next_deadline()) is not None and due <= until:
            self.clock.now = max(self.clock.now, due)
            self.engine.on_time(self.clock.now)
        if until < math.inf:
            self.clock.now = max(self.clock.now, until)

    def alert_accounts(self) -> dict[str, AlertAccount]:
        """The account of each alert so far, by its id."""
        return self._firings.accounts(self.engine.board)
