"""The parts of one daemon, put together: the one place where concrete classes meet."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from pricestreamd.config.alerts import alert_rules
from pricestreamd.config.load import Loaded
from pricestreamd.config.settings import Settings
from pricestreamd.daemon.trouble import Trouble
from pricestreamd.daemon.watchlists import Watchlists
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.feeds.silence.hours import Hours, hours_of
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.events import PriceAlert, Run
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.settings import AnySinkSettings, LogSinkSettings
from pricestreamd.sinks.worker import SinkWorker
from pricestreamd.state.store import StateStore
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.board import Board
from pricestreamd.stream.service import PriceStreamService


@dataclass(slots=True)
class Parts:
    """What a running daemon consists of. `settings` are those in force; a reload replaces them."""

    settings: Settings
    path: Path
    dispatcher: EventDispatcher
    feeds: FeedGroup
    service: PriceStreamService
    sinks: Mapping[str, SinkWorker]
    watchlists: Watchlists
    store: StateStore


def build(loaded: Loaded) -> Parts:
    """Everything that `loaded` asks for, connected to each other, and nothing running yet.

    Raises:
        ConfigError: what only shows now: listeners that cannot be imported or called.
    """
    settings = loaded.settings
    # Start time and chance: the ids of two runs never meet, and sort by run.
    dispatcher = EventDispatcher(Run(f"{int(time.time()):x}{secrets.token_hex(2)}"))
    run = dispatcher.run
    gate = DialGate()
    feeds = FeedGroup(
        WebSocketClient.from_settings(name, feed, run, gate=gate) for name, feed in settings.feeds.items()
    )
    feeds.on_event(dispatcher.dispatch)
    service = PriceStreamService(feeds, dispatcher, settings.stream, hours_of=_hours_by_feed(feeds))
    for rule in alert_rules(loaded):
        service.board.set_alert(rule)
    for listener, function in zip(settings.listeners, _functions(loaded), strict=True):
        dispatcher.attach(listener.event, function, name=listener.call, priority=listener.priority)
    sinks = {name: _worker(name, sink, dispatcher) for name, sink in sink_settings(settings).items()}
    _hand_alerts_to(sinks, dispatcher, service.board)
    trouble = Trouble(dispatcher)
    store = StateStore(settings.state.path, on_damage=trouble.state_damaged)
    watchlists = Watchlists(settings, feeds, service.board, store, trouble)
    return Parts(settings, loaded.path, dispatcher, feeds, service, sinks, watchlists, store)


def _hours_by_feed(feeds: FeedGroup) -> HoursOf:
    """When prices of a symbol may be expected, by the feed that it belongs to."""

    def hours(symbol: str) -> Hours | None:
        owner = feeds.owner(symbol)
        return hours_of(symbol, owner.settings.market_hours, owner.profile) if owner is not None else None

    return hours


def _functions(loaded: Loaded) -> list[Callable[[Any], Any]]:
    """The functions of the configured listeners, in order.

    Raises:
        ConfigError: names each that cannot be imported or called.
    """
    for folder in reversed(loaded.settings.plugin_paths):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    functions, problems = [], []
    for index, listener in enumerate(loaded.settings.listeners):
        module, _, name = listener.call.partition(":")
        try:
            function = attrgetter(name)(import_module(module))
        except Exception as exc:  # noqa: BLE001 - somebody else's module: whatever it raises, it is told of
            message = f"{listener.call} cannot be imported: {type(exc).__name__}: {exc}"
            problems.append(loaded.problem(f"listeners[{index}].call", message))
            continue
        if callable(function):
            functions.append(function)
        else:
            message = f"{listener.call} is no function but {type(function).__name__}"
            problems.append(loaded.problem(f"listeners[{index}].call", message))
    if problems:
        raise ConfigError(*problems)
    return functions


def sink_settings(settings: Settings) -> dict[str, AnySinkSettings]:
    """The configured sinks that are built, and the log where none is configured."""
    sinks = {name: sink for name, sink in settings.sinks.items() if catalogue.built(sink.type)}
    if not any(isinstance(sink, LogSinkSettings) for sink in sinks.values()):
        sinks["log"] = LogSinkSettings()
    return sinks


def _worker(name: str, settings: AnySinkSettings, dispatcher: EventDispatcher) -> SinkWorker:
    told = OncePer(60.0)

    def failed(sink: str, error: Exception, lost: int) -> None:
        """Every loss is told; a failure that may yet be made good is told once a minute."""
        held = told.admit(type(error).__name__, time.monotonic())
        if lost or held is not None:
            message = f"sink {sink}: {error}" + (f"; {lost} events lost" if lost else "")
            dispatcher.error("sink_failed", redact(message), severity="critical" if lost else "warning")

    worker = SinkWorker(catalogue.create(name, settings), settings, on_error=failed)
    for pattern in worker.patterns:
        dispatcher.attach(pattern, worker.offer, name=f"sink {name}", excluding=[PriceAlert.event])
    return worker


def _hand_alerts_to(sinks: Mapping[str, SinkWorker], dispatcher: EventDispatcher, board: Board) -> None:
    """An alert goes to the sinks that it names, or, where it names none of these, to those whose events match."""

    def hand_out(alert: PriceAlert) -> None:
        rule = board.rule(alert.alert_id)
        named = [sinks[name] for name in rule.notify if name in sinks] if rule is not None else []
        for worker in named:
            worker.put(alert)
        for worker in () if named else sinks.values():
            worker.offer(alert)

    dispatcher.attach(PriceAlert.event, hand_out, name="alerts to sinks")
