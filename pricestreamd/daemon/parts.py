"""The parts of one daemon, put together: the one place where concrete classes meet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pricestreamd.config.load import Loaded
from pricestreamd.config.settings import Settings
from pricestreamd.daemon.answers.control import DaemonControl
from pricestreamd.daemon.journal.journal import Journal
from pricestreamd.daemon.journal.owing import Owing
from pricestreamd.daemon.journal.rows import put_back
from pricestreamd.daemon.listeners import Listeners, listener_functions
from pricestreamd.daemon.outlets import Outlets
from pricestreamd.daemon.reload_requests import ReloadRequests
from pricestreamd.daemon.trouble import Trouble
from pricestreamd.daemon.watchlists import Watchlists
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.hours import Hours, hours_of
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.model.events import Run
from pricestreamd.state.rows import SavedState, StateChange
from pricestreamd.state.store import StateStore
from pricestreamd.stream.alerts.sessions import HoursOf
from pricestreamd.stream.service import PriceStreamService


@dataclass(slots=True)
class Parts:
    """What a running daemon consists of. `settings` are those in force; a reload replaces them."""

    settings: Settings
    path: Path
    dispatcher: EventDispatcher
    feeds: FeedGroup
    service: PriceStreamService
    listeners: Listeners
    outlets: Outlets
    watchlists: Watchlists
    journal: Journal
    owing: Owing
    reloads: ReloadRequests
    new_client: Callable[[str, FeedSettings], WebSocketClient]
    control: DaemonControl = field(init=False)


def build(loaded: Loaded) -> Parts:
    """Everything that `loaded` asks for, connected to each other, and nothing running yet.

    Raises:
        ConfigError: what only shows now: listeners and sinks that cannot be made.
    """
    settings = loaded.settings
    # Start time and chance: the ids of two runs never meet, and sort by run.
    dispatcher = EventDispatcher(Run(f"{int(time.time()):x}{secrets.token_hex(2)}"), interruptible=False)
    run = dispatcher.run
    gate = DialGate()

    def new_client(name: str, feed: FeedSettings) -> WebSocketClient:
        return WebSocketClient.from_settings(name, feed, run, gate=gate)

    feeds = FeedGroup(new_client(name, feed) for name, feed in settings.feeds.items())
    service = PriceStreamService(feeds, dispatcher, settings.stream, hours_of=_hours_by_feed(feeds))
    for rule in loaded.alert_rules:
        service.board.set_alert(rule)
    listeners = Listeners(dispatcher)
    listeners.apply(settings.listeners, listener_functions(loaded))
    trouble = Trouble(dispatcher)

    def damaged(message: str) -> None:
        """A new file has taken the place of the state: what is known goes into it."""
        trouble.state_damaged(message)
        journal.begin_anew()
        parts.control.keep_all()

    def adopt(saved: SavedState) -> None:
        """Go on where an earlier run has ended."""
        parts.control.restore(saved)
        gone = put_back(service.board, saved, trouble.state_failed, now=time.time())
        journal.note(StateChange(alert_states_gone=gone))

    store = StateStore(settings.state.path, on_damage=damaged)
    outlets = Outlets(loaded, dispatcher, store)
    journal = Journal(store, service, outlets, trouble, adopt)
    watchlists = Watchlists(settings, feeds, service.board, store, trouble)
    parts = Parts(
        settings,
        loaded.path,
        dispatcher,
        feeds,
        service,
        listeners,
        outlets,
        watchlists,
        journal,
        Owing(store, outlets),
        reloads=ReloadRequests(),
        new_client=new_client,
    )
    parts.control = DaemonControl(
        service,
        feeds,
        journal,
        settings=lambda: parts.settings,
        outlets=outlets,
        reload=parts.reloads.report,
    )
    return parts


def _hours_by_feed(feeds: FeedGroup) -> HoursOf:
    """When prices of a symbol may be expected, by the feed that it belongs to."""

    def hours(symbol: str) -> Hours | None:
        owner = feeds.owner(symbol)
        return hours_of(symbol, owner.settings.market_hours, owner.profile) if owner is not None else None

    return hours
