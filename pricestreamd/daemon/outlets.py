"""Where events leave: every configured sink with its worker, and with the lane of what must not be lost, if it has one.

Two ways lead into a sink. The dispatcher offers its worker everything but alerts, best effort. Alerts come by the
journal, after they are durable: to the lane, or, where a sink has none, to the worker.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from pricestreamd.config.load import Loaded
from pricestreamd.config.settings import Settings
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.errors import ConfigError, PriceStreamError
from pricestreamd.model.histogram import Histogram
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.addressees import OF_ALERTS
from pricestreamd.sinks.base import DestinationGone, Sink
from pricestreamd.sinks.outbox import Outbox, OutboxLane
from pricestreamd.sinks.settings import AnySinkSettings, LogSinkSettings
from pricestreamd.sinks.worker import SinkWorker


class Outlets:
    """The sinks that `loaded` asks for, connected to `dispatcher`; `lanes`: those whose alerts go through `outbox`.

    Raises:
        ConfigError: names each sink that cannot be made.
    """

    def __init__(self, loaded: Loaded, dispatcher: EventDispatcher, outbox: Outbox) -> None:
        self.workers: dict[str, SinkWorker] = {}
        self.lanes: dict[str, OutboxLane] = {}
        for sink, settings in make_sinks(loaded, sink_settings(loaded.settings)):
            trouble, name = _Trouble(dispatcher), sink.name
            worker = self.workers[name] = SinkWorker(sink, settings, on_error=trouble)
            if catalogue.is_durable(settings):
                self.lanes[name] = OutboxLane(worker, outbox, on_error=trouble)
            for pattern in worker.patterns:
                dispatcher.attach(pattern, worker.offer, name=f"sink {name}", excluding=OF_ALERTS)

    def sums(self) -> dict[str, SinkSums]:
        """What each sink counts, both ways together."""
        return {name: SinkSums(worker, self.lanes.get(name)) for name, worker in self.workers.items()}


class SinkSums:
    """The counters of one sink: those of its worker and of its lane, added up when they are asked for."""

    def __init__(self, worker: SinkWorker, lane: OutboxLane | None) -> None:
        self._ways: Sequence[SinkWorker | OutboxLane] = (worker,) if lane is None else (worker, lane)

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


def make_sinks(loaded: Loaded, wanted: Mapping[str, AnySinkSettings]) -> list[tuple[Sink, AnySinkSettings]]:
    """The sinks `wanted` of the configuration, not yet open.

    Raises:
        ConfigError: names each that cannot be made.
    """
    found, problems = [], []
    for name, settings in wanted.items():
        try:
            found.append((catalogue.create(name, settings), settings))
        except PriceStreamError as exc:
            problems.append(loaded.problem(f"sinks.{name}", str(exc)))
    if problems:
        raise ConfigError(*problems)
    return found


def sink_settings(settings: Settings) -> dict[str, AnySinkSettings]:
    """The configured sinks that are built, and the log where none is configured."""
    sinks = {name: sink for name, sink in settings.sinks.items() if catalogue.built(sink.type)}
    if not any(isinstance(sink, LogSinkSettings) for sink in sinks.values()):
        sinks["log"] = LogSinkSettings()
    return sinks


class _Trouble:
    """Tells of what a sink could not do: every loss, and a failure that may yet be made good once a minute."""

    def __init__(self, dispatcher: EventDispatcher) -> None:
        self._dispatcher = dispatcher
        self._told = OncePer(60.0)

    def __call__(self, sink: str, error: Exception, lost: int) -> None:
        held = self._told.admit(type(error).__name__, time.monotonic())
        if lost or held is not None:
            message = f"sink {sink}: {error}" + (f"; {lost} events lost" if lost else "")
            grave = lost or isinstance(error, DestinationGone)
            self._dispatcher.error("sink_failed", redact(message), severity="critical" if grave else "warning")
