"""A daemon without its network: real feeds, board, alerts and state behind the HTTP server, and prices by hand."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from pricestreamd.config.load import Loaded, load
from pricestreamd.config.settings import Settings
from pricestreamd.daemon.answers.alert_reports import alert_reports
from pricestreamd.daemon.answers.control import DaemonControl
from pricestreamd.daemon.journal.keeping import Limits
from pricestreamd.daemon.outlets import Outlets
from pricestreamd.daemon.reload_requests import ReloadRequests
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.http.app import HttpServer
from pricestreamd.http.view import AlertReport
from pricestreamd.model.errors import StateError
from pricestreamd.model.events import Event, PriceAlert, Run, to_json
from pricestreamd.model.interface import SymbolReport
from pricestreamd.model.tick import Tick
from pricestreamd.state.rows import AlertStateRow, EventRow, SavedState, StateChange
from pricestreamd.state.store import StateStore
from pricestreamd.stream.service import PriceStreamService
from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon

ONE_FEED = """
feeds:
  stocks: {provider: twelvedata, api_key: key, symbols: [AAPL, MSFT, BTC/USD]}
alerts:
  - {name: from-yaml, symbol: AAPL, above: 500}
sinks:
  phone: {type: file, path: events.jsonl}
"""
TWO_FEEDS = """
feeds:
  stocks: {provider: twelvedata, api_key: key, symbols: [AAPL, MSFT], backup: spare}
  spare: {provider: twelvedata, api_key: key2, symbols: []}
  crypto: {provider: binance, symbols: [BTC/USD]}
"""
TOKEN_FILE = "http-token"


class Notes:
    """A journal of the smallest kind: notes and firings wait for `committed`, which writes them to a real store."""

    def __init__(self, store: StateStore) -> None:
        self.store = store
        self.waiting = StateChange()
        self.refuses: list[str | None] = []
        """What the next commits say: a text is an error, None lets one through."""
        self.gate: asyncio.Event | None = None
        """While it is closed, the disk takes its time."""
        self.waits = asyncio.Event()

    @property
    def unwritten(self) -> list[EventRow]:
        return self.waiting.events

    def note(self, change: StateChange) -> None:
        for name in StateChange.__slots__:
            getattr(self.waiting, name).extend(getattr(change, name))

    async def committed(self) -> None:
        if self.gate is not None:
            self.waits.set()
            await self.gate.wait()
        refusal = self.refuses.pop(0) if self.refuses else None
        if refusal is not None:
            raise StateError(refusal)
        change, self.waiting = self.waiting, StateChange()
        if change:
            await self.store.commit(change)


@dataclass
class World:
    """The parts. `view` answers as `DaemonView`, `control` as `Control`."""

    loaded: Loaded
    dispatcher: EventDispatcher
    feeds: FeedGroup
    service: PriceStreamService
    notes: Notes
    control: DaemonControl
    view: "ControlledDaemon"
    heard: list[Event]

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    def tick(self, symbol: str, price: float, volume: float | None = 100.0) -> None:
        now = time.time()
        owner = self.feeds.owner(symbol)
        self.service.engine.on_tick(
            Tick(symbol, price, now, now, volume, "USD", owner.name if owner is not None else "")
        )
        changes = self.service.engine.alerts.take_changes()
        rows = [AlertStateRow(record.alert_id, record.symbol, b"{}") for record in changes.records]
        self.notes.note(StateChange(alert_states=rows, alert_states_gone=list(changes.gone)))

    def alert_ids(self) -> list[str]:
        return [rule.alert_id for rule in self.service.board.alerts()]

    def sources(self) -> dict[str, str]:
        return {report["symbol"]: report["source"] for report in self.view.symbols()}

    async def saved(self) -> SavedState:
        """What a restart would find."""
        return await self.notes.store.load()


class ControlledDaemon(SmallDaemon):
    """The small daemon, with the alerts and symbols of real parts."""

    def __init__(self, service: PriceStreamService, feeds: FeedGroup, dispatcher: EventDispatcher) -> None:
        super().__init__()
        self._service, self._feeds = service, feeds
        self.dispatcher = dispatcher

    def symbols(self) -> list[SymbolReport]:
        return [report for client in self._feeds.clients.values() for report in client.symbol_reports()]

    def find_symbol(self, symbol: str) -> str | None:
        state = self._service.board.state(symbol)
        return state.symbol if state is not None else None

    def alerts(self) -> list[AlertReport]:
        return alert_reports(self._service)


@contextlib.asynccontextmanager
async def world(folder: Path, text: str = ONE_FEED, *, limits: Limits | None = None) -> AsyncIterator[World]:
    """The parts of a daemon whose configuration is `text`, and whose state is in `folder`, as after its start."""
    path = folder / "config.yaml"
    path.write_text(text)
    loaded = load(path, environ={"STATE_DIRECTORY": str(folder)})
    dispatcher = EventDispatcher(Run("test"))
    feeds = FeedGroup(
        WebSocketClient.from_settings(name, settings, dispatcher.run)
        for name, settings in loaded.settings.feeds.items()
    )
    service = PriceStreamService(feeds, dispatcher)
    for rule in loaded.alert_rules:
        service.board.set_alert(rule)
    store = StateStore(folder / "state.db", on_damage=lambda message: None)
    notes = Notes(store)
    outlets = Outlets(loaded, dispatcher, store)
    control = DaemonControl(
        service,
        feeds,
        notes,
        settings=lambda: made.settings,
        outlets=outlets,
        reload=ReloadRequests().report,
        limits=limits,
    )
    heard: list[Event] = []
    made = World(
        loaded,
        dispatcher,
        feeds,
        service,
        notes,
        control,
        ControlledDaemon(service, feeds, dispatcher),
        heard,
    )

    def fired(event: PriceAlert) -> None:
        row = EventRow(event.firing_id, event.event, event.symbol, event.alert_id, event.timestamp, to_json(event))
        notes.note(StateChange(events=[row], owed=[(event.firing_id, sink) for sink in outlets.lanes]))

    dispatcher.attach("*", heard.append, name="test")
    dispatcher.attach("price.alert", fired, name="journal")
    await store.open()
    try:
        saved = await store.load()
        control.restore(saved)
        service.board.track(feeds.get_subscriptions())
        yield made
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def controlled(
    made: World, folder: Path, symbols: Sequence[str] = (), **settings: Any
) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
    """The server over `made`; its token is in `folder`. `symbols` get a first price of 100."""
    for symbol in symbols:
        made.tick(symbol, 100.0)
    async with serving(made.view, control=made.control, token_file=folder / TOKEN_FILE, **settings) as served:
        yield served


def bearer(folder: Path) -> dict[str, str]:
    """The header that lets one write."""
    return {"Authorization": f"Bearer {(folder / TOKEN_FILE).read_text().strip()}"}
