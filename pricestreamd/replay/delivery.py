"""Sinks and listeners in a replay: they get its events as the daemon would hand them out, without state and outbox.

At full speed events come faster than anybody takes them. So between small batches of ticks the replay waits while a
queue is more than half full, as long as whoever empties it gets on; one that does not move for `patience` seconds is
waited for no more, and what its queue gives up is counted. In the rhythm of the ticks nobody is waited for, as in life.
At the end everybody has `patience` seconds to take what is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import Listener
from pricestreamd.dispatch.listener_queue import QUEUE_SIZE
from pricestreamd.model.events import AlertBlind, PriceAlert
from pricestreamd.model.secret import redact
from pricestreamd.sinks.addressees import OF_ALERTS, addressees
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import SinkSettings
from pricestreamd.stream.board import Board

# Ticks between two looks at the queues, where these have the usual size.
_BATCH = 64
# A tick has an update, and seldom more than a few further events.
_EVENTS_OF_TICK = 8
_LOOK_SECONDS = 0.002
# Reasons for which an event is dropped by the wish of whoever configured the sink.
_NO_LOSS = frozenset({"conflated"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConfiguredListener:
    """A function that hears `event`, under this name and in this order."""

    event: str
    function: Callable[[Any], Any]
    name: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SinkAccount:
    """`received == delivered + sum(dropped) + left`."""

    received: int
    delivered: int
    dropped: Mapping[str, int]
    left: int


@dataclass(frozen=True, slots=True)
class ListenerAccount:
    """`errors`: calls that raised; `dropped`: events that a coroutine function was too slow for."""

    errors: int
    dropped: int


@dataclass(frozen=True, slots=True)
class DeliveryAccount:
    """What became of the events of a replay, by the name of a sink, and of a listener."""

    sinks: Mapping[str, SinkAccount]
    listeners: Mapping[str, ListenerAccount]

    @property
    def lost(self) -> int:
        """Events that somebody was to get and did not."""
        of_sinks = sum(
            sink.left + sum(count for reason, count in sink.dropped.items() if reason not in _NO_LOSS)
            for sink in self.sinks.values()
        )
        return of_sinks + sum(listener.dropped for listener in self.listeners.values())


class Delivery:
    """Hands the events of `dispatcher` to sinks and listeners. `board` knows which alert names which sinks.

    Use it as an async context around the replay, with `room` between batches of `batch` ticks; `patience` in seconds.
    Deliveries that fail are told of in the log, and make no event: the same ticks give the same events.
    """

    def __init__(
        self,
        dispatcher: EventDispatcher,
        board: Board,
        sinks: Iterable[tuple[Sink, SinkSettings]],
        listeners: Iterable[ConfiguredListener],
        *,
        patience: float,
    ) -> None:
        self._dispatcher = dispatcher
        self._board = board
        self._patience = patience
        self._workers = {sink.name: self._worker(sink, one) for sink, one in sinks}
        self._mine = set()
        for one in listeners:
            dispatcher.attach(one.event, one.function, name=one.name, priority=one.priority)
            self._mine.add(one.name)
        for event in OF_ALERTS:
            dispatcher.attach(event, self._hand_out, name="alerts to sinks", ours=True)
        smallest = min([worker.settings.queue.size for worker in self._workers.values()], default=QUEUE_SIZE)
        self.batch = max(1, min(_BATCH, min(smallest, QUEUE_SIZE) // (2 * _EVENTS_OF_TICK)))
        # When somebody whose queue is half full last got on, and how far; who is waited for no more.
        self._progress: dict[str, tuple[int, float]] = {}
        self._given_up: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def _worker(self, sink: Sink, settings: SinkSettings) -> SinkWorker:
        def failed(name: str, error: Exception, lost: int) -> None:
            message = f"sink {name}: {error}" + (f"; {lost} {'event' if lost == 1 else 'events'} lost" if lost else "")
            # Every loss is told; a failure that may yet be made good is told once a minute.
            _log.warning("%s", redact(message), extra={} if lost else {"repeat": (name, type(error).__name__)})

        worker = SinkWorker(sink, settings, on_error=failed)
        for pattern in worker.patterns:
            self._dispatcher.attach(pattern, worker.offer, name=f"sink {sink.name}", excluding=OF_ALERTS, ours=True)
        return worker

    def _hand_out(self, event: PriceAlert | AlertBlind) -> None:
        rule = self._board.rule(event.alert_id)
        for name in addressees(event, rule.notify if rule is not None else (), self._workers):
            self._workers[name].put(event)

    # --- while it runs

    async def __aenter__(self) -> Delivery:  # noqa: PYI034 - not made to be subclassed
        self._tasks = [asyncio.create_task(worker.run(), name=f"sink {name}") for name, worker in self._workers.items()]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.gather(
            *(worker.drain(self._patience) for worker in self._workers.values()),
            self._dispatcher.aclose(self._patience),
        )
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                _log.error("a sink's worker has died", exc_info=ended)

    async def room(self) -> None:
        """Give everybody a turn, and return when there is room for more."""
        await asyncio.sleep(0)
        while self._waited_for():  # noqa: ASYNC110 - neither a worker nor a listener tells when it has taken something
            await asyncio.sleep(_LOOK_SECONDS)

    def _waited_for(self) -> bool:
        """Whether somebody whose queue is half full is getting on."""
        now = time.monotonic()
        found = False
        for name, waiting, size, done in self._queues():
            if 2 * waiting <= size or name in self._given_up:
                self._progress.pop(name, None)
                continue
            before, since = self._progress.setdefault(name, (done, now))
            if done != before:
                self._progress[name] = done, now
            elif now - since > self._patience:
                self._given_up.add(name)
                _log.warning("%s took nothing for %g s: it is waited for no more", name, self._patience)
                continue
            found = True
        return found

    def _queues(self) -> Iterable[tuple[str, int, int, int]]:
        """Whose queue, how much waits in it, its size, and how much has left it so far."""
        for name, worker in self._workers.items():
            yield f"sink {name}", worker.queued, worker.settings.queue.size, worker.received - worker.queued
        for listener in self._dispatcher.listeners():
            if listener.queue is not None:
                calls = sum(listener.seconds.counts)
                yield f"listener {listener.name}", len(listener.queue), QUEUE_SIZE, calls

    # --- the account

    def account(self) -> DeliveryAccount:
        """What became of the events; complete after the end."""
        sinks = {
            name: SinkAccount(worker.received, worker.delivered, dict(worker.dropped), worker.queued)
            for name, worker in self._workers.items()
        }
        return DeliveryAccount(sinks, self._of_listeners())

    def _of_listeners(self) -> dict[str, ListenerAccount]:
        found: dict[str, list[Listener]] = {}
        for listener in self._dispatcher.listeners():
            if listener.name in self._mine:
                found.setdefault(listener.name, []).append(listener)
        return {
            name: ListenerAccount(sum(one.errors for one in same), sum(one.dropped for one in same))
            for name, same in found.items()
        }
