"""Where events leave: every configured sink with its worker, and with the lane of what must not be lost, if it has one.

Two ways lead into a sink. The dispatcher offers its worker everything but alerts, best effort. Alerts come by the
journal, after they are durable: to the lane, or, where a sink has none, to the worker.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pricestreamd.config.load import Loaded
from pricestreamd.config.settings import Settings
from pricestreamd.daemon.journal.left_spools import LeftSpools
from pricestreamd.daemon.sink_trouble import SinkTrouble
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import ListenerId
from pricestreamd.model.errors import ConfigError, PriceStreamError
from pricestreamd.model.events import PriceAlert
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.tick import symbol_key
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.addressees import OF_ALERTS
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.log import LogSink
from pricestreamd.sinks.outbox.lane import Outbox, OutboxLane
from pricestreamd.sinks.settings import AnySinkSettings, LogSinkSettings, NotifySinkSettings
from pricestreamd.stream.alerts.storm import StormMeter
from pricestreamd.stream.settings import AlertStormSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlet:
    """One sink at work. `lane` None: what it gets is best effort."""

    worker: SinkWorker
    lane: OutboxLane | None


class Outlets:
    """The sinks that `loaded` asks for, connected to `dispatcher`; `lanes`: those whose alerts go through `outbox`.

    Raises:
        ConfigError: names each sink that cannot be made.
    """

    def __init__(self, loaded: Loaded, dispatcher: EventDispatcher, outbox: Outbox) -> None:
        self.workers: dict[str, SinkWorker] = {}
        self.lanes: dict[str, OutboxLane] = {}
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._state = loaded.settings.state.path
        self._storm = loaded.settings.alert_storm
        self._troubles: dict[str, SinkTrouble] = {}
        self._heard: dict[str, list[ListenerId]] = {}
        self.left_spools = LeftSpools(self._state, self._spooled)
        for made in self.prepare(loaded).made:
            self._put(*made)

    def prepare(self, loaded: Loaded) -> SinkChanges:
        """What `apply` has to do for the sinks of `loaded`: all that can fail of it.

        Raises:
            ConfigError: names each sink that cannot be made.
        """
        wanted = sink_settings(loaded.settings)
        new = {
            name: settings
            for name, settings in wanted.items()
            if name not in self.workers
            or self.workers[name].settings != settings
            or (isinstance(settings, NotifySinkSettings) and self._storm != loaded.settings.alert_storm)
        }
        gone = [name for name in self.workers if name not in wanted or name in new]
        return SinkChanges(make_sinks(loaded, new), gone, loaded.settings.alert_storm)

    def apply(self, changes: SinkChanges) -> tuple[dict[str, Outlet], dict[str, Outlet]]:
        """Hand events to the new sinks from now on. Returns those that are gone, for somebody to drain, and the new."""
        self._storm = changes.storm
        gone = {name: self._take(name) for name in changes.gone}
        return gone, {sink.name: self._put(sink, settings) for sink, settings in changes.made}

    def _put(self, sink: Sink, settings: AnySinkSettings) -> Outlet:
        name = sink.name
        trouble = self._troubles[name] = SinkTrouble(self._dispatcher)
        spool = catalogue.spool_of(name, settings, self._state)
        worker = self.workers[name] = SinkWorker(sink, settings, spool=spool, on_error=trouble.of_worker)
        worker.breaker.on_back(_told_back(name))
        lane = None
        if catalogue.is_durable(settings):
            lane = self.lanes[name] = OutboxLane(worker, self._outbox, on_error=trouble)
        self._heard[name] = [
            self._dispatcher.attach(pattern, worker.offer, name=f"sink {name}", excluding=OF_ALERTS, ours=True)
            for pattern in worker.patterns
        ]
        return Outlet(worker, lane)

    def _take(self, name: str) -> Outlet:
        for heard in self._heard.pop(name):
            self._dispatcher.off(heard)
        self._troubles.pop(name).leave()
        return Outlet(self.workers.pop(name), self.lanes.pop(name, None))

    def all(self) -> dict[str, Outlet]:
        """Every sink by its name."""
        return {name: Outlet(worker, self.lanes.get(name)) for name, worker in self.workers.items()}

    def tell_losses(self) -> None:
        """Tell now of the losses that wait to be told together."""
        for trouble in self._troubles.values():
            trouble.tell_losses()

    def _spooled(self) -> set[str]:
        """The sinks that have a spool."""
        return {name for name, worker in self.workers.items() if worker.settings.durable}

    def log_takes(self, event: str) -> bool:
        """Whether every event of this name is written to the log by a sink."""
        return any(isinstance(worker.sink, LogSink) and worker.takes_all(event) for worker in self.workers.values())

    def sums(self) -> dict[str, SinkSums]:
        """What each sink counts, both ways together."""
        return {name: SinkSums(worker, self.lanes.get(name)) for name, worker in self.workers.items()}


class SinkChanges(NamedTuple):
    """Sinks that come, made and not open, and the names of those that go."""

    made: Sequence[tuple[Sink, AnySinkSettings]]
    gone: Sequence[str]
    storm: AlertStormSettings


class SinkSums:
    """The counters of one sink: those of its worker and of its lane, added up when they are asked for."""

    def __init__(self, worker: SinkWorker, lane: OutboxLane | None) -> None:
        self._ways: Sequence[SinkWorker | OutboxLane] = (worker,) if lane is None else (worker, lane)
        self._worker = worker
        self._door = worker.door

    @property
    def received(self) -> int:
        """Events that came in, and deliveries read from the outbox: `delivered`, `dropped` and `queued` together."""
        return sum(way.received for way in self._ways)

    @property
    def queued(self) -> int:
        """Events that wait."""
        return sum(way.queued for way in self._ways)

    @property
    def delivered(self) -> int:
        """Events the sink has taken."""
        return sum(way.delivered for way in self._ways)

    @property
    def dropped(self) -> Mapping[str, int]:
        """Reason to events given up."""
        total: Counter[str] = Counter(dict.fromkeys(self._ways[0].dropped, 0))
        for way in self._ways:
            total.update(way.dropped)
        return total

    @property
    def retries(self) -> int:
        """Deliveries tried again."""
        return sum(way.retries for way in self._ways)

    @property
    def flush_seconds(self) -> Histogram:
        """Seconds of each delivery."""
        total = Histogram()
        for way in self._ways:
            total.add(way.flush_seconds)
        return total

    @property
    def breaker_open(self) -> bool:
        """Whether so many attempts in a row have failed that little is tried until one succeeds."""
        return self._door.breaker.open

    @property
    def breaker_openings(self) -> int:
        """How often that came about."""
        return self._door.breaker.times_opened

    @property
    def stopped(self) -> bool:
        """Whether the destination wants nothing more, and the sink waits for a person."""
        return self._door.gone is not None

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        given_up = f", dropped {dropped}" if dropped else ""
        kept = self._worker.queued - self._worker.at_risk
        in_spool = f" ({kept} wait in its spool)" if kept else ""
        return f"received {self.received}, delivered {self.delivered}{given_up}, left {self.queued}{in_spool}"


def make_sinks(loaded: Loaded, wanted: Mapping[str, AnySinkSettings]) -> list[tuple[Sink, AnySinkSettings]]:
    """The sinks `wanted` of the configuration, not yet open.

    Raises:
        ConfigError: names each that cannot be made.
    """
    found, problems = [], []
    for name, settings in wanted.items():
        try:
            found.append((catalogue.create(name, settings, storm=_storm(loaded.settings)), settings))
        except PriceStreamError as exc:
            problems.append(loaded.problem(f"sinks.{name}", str(exc)))
    if problems:
        raise ConfigError(*problems)
    return found


def _storm(settings: Settings) -> Callable[[PriceAlert], bool]:
    """A meter of its own for one sink: whether a firing is beyond what a minute may hold."""
    meter = StormMeter(settings.alert_storm.per_minute)
    return lambda alert: meter.add(alert.alert_id, symbol_key(alert.symbol), alert.timestamp) != "alone"


def sink_settings(settings: Settings) -> dict[str, AnySinkSettings]:
    """The configured sinks that are built, and the log where none is configured."""
    sinks = dict(settings.sinks)
    if not any(isinstance(sink, LogSinkSettings) for sink in sinks.values()):
        sinks["log"] = LogSinkSettings()
    return sinks


def _told_back(sink: str) -> Callable[[bool], None]:
    """Says that a destination which was away is back."""

    def tell(was_away: bool) -> None:
        if was_away:
            _log.info("sink %s: it takes events again", sink, extra={"action": "sink_back"})

    return tell
