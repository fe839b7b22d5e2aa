"""The journal: firings and the state of alerts are made to last, in one transaction, before any sink hears of them.

    tick -> alert fires -> listeners and live streams hear at once
                        -> the journal gathers events and changed states -> one commit -> the sinks' outbox lanes

While one commit runs, the next gathers: a burst costs few transactions. The loop never waits for the disk, and neither
does an alert: where the disk refuses, or has not answered within two seconds of a firing, sinks are told from memory,
the operator is told, readiness says so, and what was not written goes with the next commit. That an alert has fired or
is armed again is written at once; what else changes (an extreme, a last price) within seconds.

What an earlier run has kept is read before anything is written over it. A state that cannot be read at the start is
tried again before each commit; alerts work meanwhile, as if nothing had been before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from pricestreamd.daemon.journal.rows import delivery_of, event_row, price_row
from pricestreamd.daemon.journal.unwritten import Unwritten
from pricestreamd.daemon.outlets import Outlets
from pricestreamd.daemon.trouble import Trouble
from pricestreamd.model.errors import StateError
from pricestreamd.model.events import AlertBlind, PriceAlert
from pricestreamd.sinks.addressees import OF_ALERTS, addressees
from pricestreamd.state.outbox import Numbers
from pricestreamd.state.patience import LATE_SECONDS
from pricestreamd.state.rows import AlertStateRow, Delivery, EventRow, PriceRow, SavedState, StateChange
from pricestreamd.state.store import ForeignStateError, StateLocked, StateStore
from pricestreamd.stream.service import PriceStreamService
from pricestreamd.stream.symbol_state import SymbolState

# Better to begin a little later than not to know which alerts have fired: whoever holds the file may soon be done.
OPEN_SECONDS = 3.0
OPEN_PAUSE_SECONDS = 0.25
# What a crash may cost of changes that no sink is told of.
SAVE_SECONDS = 1.0
PRICES_SECONDS = 10.0
# A disk this slow must not hold up an alert; the same firing_id may then arrive twice.
PATIENCE_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Fired:
    """A firing with the sinks that it goes to, since `at` by the loop's clock. `told`: they know of it."""

    alert: PriceAlert
    sinks: tuple[str, ...]
    at: float
    told: bool = False


class Journal:
    """Keeps the state of `service`'s alerts in `store`, and hands firings to the sinks of `outlets`.

    A sink without a lane is told after the commit, and only once. `adopt` gets what an earlier run has kept, as soon as
    it could be read.
    """

    def __init__(
        self,
        store: StateStore,
        service: PriceStreamService,
        outlets: Outlets,
        trouble: Trouble,
        adopt: Callable[[SavedState], object],
    ) -> None:
        self.store = store
        self.failure: str | None = None
        """Why the state could not be used the last time; None where it could."""
        self._service = service
        self._alerts = service.engine.alerts
        self._sinks = outlets.workers
        self._lanes = outlets.lanes
        self._trouble = trouble
        self._adopt = adopt
        self._loaded = False
        self._unwritten = Unwritten()
        # What the commit under way has taken from there.
        self._writing = StateChange()
        self._fired: list[_Fired] = []
        self._in_flight: list[_Fired] = []
        self._patience: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._running = False
        self._committing: asyncio.Task[None] | None = None
        self._prices_at = time.monotonic()
        # By symbol, the number of updates when its last price was taken.
        self._priced: dict[str, int] = {}
        for event in OF_ALERTS:
            heard = self._take if event == PriceAlert.event else self._tell
            service.dispatcher.attach(event, heard, name="alerts to sinks", ours=True)
        self._alerts.on_turn = self._wake.set

    # --- the start

    async def open(self) -> None:
        """Read what an earlier run has kept. Where that cannot be done soon it is told of, and tried again later.

        Raises:
            StateLocked: another daemon has it.
            ForeignStateError: it is that of a newer version, or of another program.
        """
        end = time.monotonic() + OPEN_SECONDS
        while not self._loaded:
            try:
                await self._load()
            except (StateLocked, ForeignStateError):
                raise
            except StateError as exc:
                if time.monotonic() >= end:
                    self._told(exc)
                    return
                await asyncio.sleep(OPEN_PAUSE_SECONDS)

    async def _load(self) -> None:
        if not self._loaded:
            saved = await self.store.load()
            self._loaded = True
            self._adopt(saved)

    def begin_anew(self) -> None:
        """The file was replaced by a new one: all that is known goes into that, too."""
        self._priced.clear()
        for state in self._service.board.by_symbol.values():
            for alert in state.alerts.alerts.values():
                alert.changed()

    # --- what changes

    def note(self, change: StateChange) -> None:
        """Write this with the next commit, too."""
        self._unwritten.add(change)

    @property
    def unwritten(self) -> list[EventRow]:
        """Firings that the state does not have yet, as far as is known, oldest first."""
        fired = (event_row(one.alert) for one in (*self._in_flight, *self._fired))
        rows = (*self._writing.events, *self._unwritten.events, *fired)
        return list({row.event_id: row for row in rows}.values())

    def _take(self, alert: PriceAlert) -> None:
        """A firing, in the turn of its tick."""
        loop = asyncio.get_running_loop()
        self._fired.append(_Fired(alert, self._addressees(alert), loop.time()))
        if self._patience is None:
            self._patience = loop.call_later(PATIENCE_SECONDS, self._lose_patience)

    def _tell(self, news: AlertBlind) -> None:
        """An alert has become blind or sees again: its sinks hear of it at once, for there is nothing to keep."""
        for name in self._addressees(news):
            self._sinks[name].put(news)

    def _addressees(self, event: PriceAlert | AlertBlind) -> tuple[str, ...]:
        rule = self._service.board.rule(event.alert_id)
        return addressees(event, rule.notify if rule is not None else (), self._sinks)

    async def committed(self) -> None:
        """Return when all that has changed so far lasts.

        Raises:
            StateError: it could not be written; it will be tried again with the next commit.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._running:
            self._wake.set()
        else:
            await self._commit()
        await waiter

    # --- the long-lived task

    async def run(self) -> None:
        """Commit whenever an alert has fired or is armed again, and now and then, until cancelled."""
        self._running = True
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(SAVE_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                await self._commit()
        finally:
            self._running = False

    async def close(self) -> None:
        """Write what is left, last prices among it. Nothing may fire any more."""
        self._prices_at -= PRICES_SECONDS
        await self._commit()

    # --- a commit

    async def _commit(self) -> None:
        """Write what has changed, and tell the sinks of what has fired. Being cancelled does not break it off."""
        if self._committing is not None:
            await asyncio.wait({self._committing})
        self._committing = asyncio.create_task(self._write(), name="journal commit")
        await asyncio.shield(self._committing)

    async def _write(self) -> None:
        waiters, self._waiters = self._waiters, []
        fired = self._in_flight = self._fired
        self._fired = []
        change, error = StateChange(), None
        try:
            await self._load()
            self._gather(fired)
            change = self._writing = self._unwritten.take()
            numbers = await self.store.commit(change)
        except StateError as exc:
            error = exc
            self._unwritten.put_back(change)
            if not self._loaded:
                # Their states wait in the engine, which is asked for them when the old ones are known.
                self._unwritten.add(_events(fired, self._lanes))
            self._hand_out_from_memory(fired)
        else:
            self._hand_out(change, numbers)
            self._tell_laneless(fired)
        self._in_flight, self._writing = [], StateChange()
        if change or error is not None:
            self._told(error)
        _answer(waiters, error)

    def _gather(self, fired: list[_Fired]) -> None:
        """Everything that has changed up to this moment; the states are those after all of `fired`."""
        changes, board = self._alerts.take_changes(), self._service.board
        change = _events(fired, self._lanes)
        change.alert_states = [
            AlertStateRow(one.alert_id, one.symbol, msgspec.json.encode(one)) for one in changes.records
        ]
        change.alert_states_gone = list(changes.gone)
        now = time.monotonic()
        if now - self._prices_at >= PRICES_SECONDS:
            self._prices_at = now
            change.prices = self._new_prices(board.by_symbol.values())
        else:
            # What an alert will be compared with after a restart belongs to where it stands.
            states = map(board.state, {one.symbol: None for one in changes.records})
            change.prices = self._new_prices(state for state in states if state is not None)
        self._unwritten.add(change)

    def _new_prices(self, states: Iterable[SymbolState]) -> list[PriceRow]:
        rows = []
        for state in states:
            if state.tick is not None and self._priced.get(state.symbol, 0) != state.updates:
                self._priced[state.symbol] = state.updates
                rows.append(price_row(state.symbol, state.tick))
        return rows

    # --- who hears of it

    def _hand_out(self, change: StateChange, numbers: Numbers) -> None:
        """What is owed from now on, also what was handed out from memory while the disk failed."""
        if not numbers:
            return
        rows = {row.event_id: row for row in change.events}
        owed: dict[str, list[Delivery]] = {}
        for (event_id, sink), number in numbers.items():
            owed.setdefault(sink, []).append(delivery_of(rows[event_id], sink, number))
        for sink, deliveries in owed.items():
            # Of a sink that a reload has taken away meanwhile, they wait in the outbox for its return.
            if sink in self._lanes:
                self._lanes[sink].put(deliveries)

    def _hand_out_from_memory(self, fired: Iterable[_Fired]) -> None:
        """The disk does not take it: nobody is to wait for that."""
        for one in fired:
            if not one.told:
                row = event_row(one.alert)
                for sink in one.sinks:
                    if sink in self._lanes:
                        self._lanes[sink].put([delivery_of(row, sink, 0)])
        self._tell_laneless(fired)

    def _tell_laneless(self, fired: Iterable[_Fired]) -> None:
        for one in fired:
            if not one.told:
                one.told = True
                for sink in one.sinks:
                    # One that a reload has taken away meanwhile is in neither.
                    if sink not in self._lanes and sink in self._sinks:
                        self._sinks[sink].put(one.alert)

    def _lose_patience(self) -> None:
        """Some may have waited for too long: they are told now, from memory; for the others there is another look."""
        loop = asyncio.get_running_loop()
        waiting = [one for one in (*self._in_flight, *self._fired) if not one.told]
        if self._patience is not None and loop.time() - self._patience.when() > LATE_SECONDS:
            # We were asleep ourselves, or held up: the disk has had no more time than we.
            for one in waiting:
                one.at = loop.time()
        late = [one for one in waiting if loop.time() - one.at >= PATIENCE_SECONDS]
        if late:
            self._hand_out_from_memory(late)
            text = f"{self.store.path}: no answer within {PATIENCE_SECONDS:g} s"
            self._trouble.state_failed(f"{text}; alerts are delivered from memory meanwhile")
        left = [one.at for one in waiting if not one.told]
        self._patience = loop.call_at(min(left) + PATIENCE_SECONDS, self._lose_patience) if left else None

    def _told(self, error: StateError | None) -> None:
        """How the disk took it."""
        if error is not None:
            self.failure = str(error)
            known = "" if self._loaded else "; it is not known which alerts have fired before"
            lost = f"; of {self._unwritten.lost} events only the sinks know" if self._unwritten.lost else ""
            self._trouble.state_failed(
                f"{error}{known}; alerts are delivered from memory, and a crash now could lose or repeat them{lost}"
            )
        elif self.failure is not None:
            self.failure = None
            self._trouble.state_works()
            _log.info("%s: written again", self.store.path)


def _events(fired: Iterable[_Fired], lanes: Mapping[str, object]) -> StateChange:
    change = StateChange()
    for one in fired:
        change.events.append(event_row(one.alert))
        change.owed += [(one.alert.firing_id, sink) for sink in one.sinks if sink in lanes]
    return change


def _answer(waiters: list[asyncio.Future[None]], error: StateError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
