"""The connections of one feed: which symbols go where, when a connection is begun, replaced or given up.

Most feeds have one connection, in one slot (`slots`); what has no room there gets another (`places`).

A connection is replaced without a break where the provider allows one more: its successor subscribes the same symbols,
and a moment after that is live the old one goes; what both deliver meanwhile passes once (`overlap`). Where the
provider allows no more, the old one goes first. A slot has one replacement at a time; a wish for another waits for the
next look, once a second.

"Too many connections" is never fought over: the slot that was refused is given up, its symbols are reported without a
place, and only after a quarter of an hour is one more tried again.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterable

from pricestreamd.feeds.allowance import Allowance
from pricestreamd.feeds.announcer import Announcer
from pricestreamd.feeds.backfill import Backfill
from pricestreamd.feeds.connection.commands import (
    Answered,
    CapReached,
    Disconnected,
    Fact,
    Live,
    Reconnecting,
    SymbolsRejected,
)
from pricestreamd.feeds.connection.connection import Connection, FrameCallback
from pricestreamd.feeds.connection.session import Session
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.feeds.crew import Crew
from pricestreamd.feeds.places import Places
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.watch import Watch
from pricestreamd.feeds.slots import Slots
from pricestreamd.feeds.transports.transport import Options, Transport
from pricestreamd.model.errors import FeedError
from pricestreamd.model.interface import MessageCallback
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Adapter, FaultKind, Rejected
from pricestreamd.providers.profile import Profile

_LOOK_SECONDS = 1.0
# Where a successor was refused for good, the next is not tried sooner.
_SECONDS_BETWEEN_SUCCESSORS = 60.0

_now = time.monotonic


class Pool:
    """The connections of the feed that `announcer` speaks for. `dice` throws between two numbers.

    `connections` has the present connection of each slot; there is always one.
    """

    def __init__(
        self,
        settings: FeedSettings,
        profile: Profile,
        announcer: Announcer,
        *,
        new_adapter: Callable[[], Adapter],
        dial: Callable[[Adapter], Awaitable[Transport]],
        options: Callable[[], Awaitable[Options]],
        dice: Callable[[float, float], float],
        on_frame: FrameCallback | None = None,
    ) -> None:
        self.settings = settings
        self.latest: dict[str, Tick] = {}
        """The last tick of each symbol that was not refused."""
        self.refused: Tick | None = None
        """The last tick that the stream could not use; it counts for no clock."""
        self._profile = profile
        self._announcer = announcer
        self._new_adapter = new_adapter
        self._dial = dial
        self._dice = dice
        self._on_frame = on_frame
        self.allowance = Allowance(settings, profile)
        self._next_successor_at: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0
        self._crew = Crew(announcer.name, self._gone)
        self._slots = Slots(self._new_connection, self._deliver, self.latest)
        self.connections = self._slots.connections
        self.places = Places(self._slots, self.allowance, announcer, leave=self._leave, arranged=self._arranged)
        self.watch = Watch(settings, profile, announcer, self.latest, dice)
        self.backfill = Backfill(announcer.name, new_adapter, options, self.latest, self._deliver_late)

    # --- symbols

    def want(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; one that was refused is asked for again."""
        self.places.want(symbols)

    def unwant(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer."""
        for symbol in self.places.unwant(symbols):
            self.latest.pop(symbol, None)

    def _arranged(self) -> None:
        """The shares may have changed: dial what has work now, and let rest what has lost it."""
        running = self._crew.members
        for slot, one in list(self.connections.items()):
            # Where symbols are part of the address, a connection ends with its last one.
            if one in running and not self.is_worth_dialling(one):
                self._leave(slot)
                self._slots.fill(slot)
        if self._crew.is_working:
            self._start_all(patient=True)

    def _leave(self, slot: int) -> None:
        """Give up `slot`: its connections go, and nothing is heard of them that others may be asked for by then."""
        self._next_successor_at.pop(slot, None)
        for one in self._slots.leave(slot):
            one.perform(one.session.unwant(one.session.subscriptions.wanted, _now()))
            self._part(one, "stopped")

    # --- what all connections share

    @property
    def callbacks(self) -> tuple[MessageCallback, ...]:
        """They hear every tick of every connection, inline."""
        return self._slots.callbacks

    @callbacks.setter
    def callbacks(self, callbacks: tuple[MessageCallback, ...]) -> None:
        for one in self._all():
            if one.callbacks is self._slots.callbacks:  # otherwise an overlap stands between
                one.callbacks = callbacks
        self._slots.callbacks = callbacks

    @property
    def counters(self) -> FeedCounters:
        """What all connections have counted, those that are gone included. A new sum for each question."""
        total = FeedCounters()
        for counters in (self._announcer.counters, *(one.counters for one in self._all())):
            total.add(counters)
        return total

    def configure(self, settings: FeedSettings) -> None:
        """Take new settings of reconnection, heartbeat, silence and room."""
        self.settings = self.allowance.settings = settings
        now = _now()
        self.watch.configure(settings)
        for one in self._all():
            one.perform(one.session.configure(settings, now))
        self.places.arrange()

    def retry_now(self) -> None:
        """Dial at once what is parked or waiting: something has changed."""
        self.allowance.forget()
        self.backfill.refused = False
        self._next_successor_at.clear()
        self.places.arrange()
        for one in self._all():
            one.perform(one.session.retry_now(_now()))

    def _all(self) -> list[Connection]:
        """Also those that are going."""
        return list(dict.fromkeys((*self._slots.present(), *self._crew.members)))

    # --- life

    async def run(self, *, supervised: bool) -> None:
        """Keep all connections until `stop`, or until one ends with an error, which is raised.

        `supervised`: dial for ever, park when refused; otherwise the first dial of each is tried once.
        """
        try:
            await self._crew.work(functools.partial(self._begin, patient=supervised), supervised=supervised)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._announcer.vigil.end()
            for slot in self._slots.replacing:
                self._slots.end_replacement(slot)
            self.watch.pause_all()
            await self.backfill.stop()

    async def stop(self) -> None:
        """Give up the symbols, say goodbye everywhere and end `run`; whatever is not done in time is cut."""
        await self._crew.stop(self._all())

    def _begin(self, *, patient: bool) -> None:
        self._announcer.vigil.begin()
        self._start_all(patient=patient)
        self._look_later()

    def _start_all(self, *, patient: bool) -> None:
        running = self._crew.members
        for one in self.connections.values():
            if one not in running and self.is_worth_dialling(one):
                self._crew.start(one, patient=patient)

    def is_worth_dialling(self, connection: Connection) -> bool:
        """Whether there is something to dial: where symbols are part of the address, without them there is not."""
        return bool(connection.session.subscriptions.wanted) or self._profile.subscribes == "in_band"

    def _gone(self, connection: Connection, error: BaseException | None) -> None:
        """`connection` has ended: one that belongs to no slot may, any other takes the feed with it."""
        slot = connection.number
        if connection is self._slots.successor(slot):
            self._slots.end_replacement(slot)
            if isinstance(error, FeedError):
                self._next_successor_at[slot] = _now() + _SECONDS_BETWEEN_SUCCESSORS
                self._announcer.failed(error.reason, error)
        else:
            self._slots.has_gone(connection, _now())
        if self.connections.get(slot) is not connection:
            self.watch.forget(connection)
            self._announcer.counters.add(connection.counters)
            if error is None or isinstance(error, FeedError | asyncio.CancelledError):
                return
        if error is not None:
            self._crew.fail(None if isinstance(error, asyncio.CancelledError) else error)

    def _new_connection(self, slot: int) -> Connection:
        session = Session(self._announcer.name, self.settings, self._new_adapter, self._dice)
        return Connection(slot, session, self._dial, self, latest=self.latest, on_frame=self._on_frame)

    def _part(self, connection: Connection, reason: str, *, after: float = 0.0) -> None:
        """Let a connection go that is no slot's any more."""
        self.watch.forget(connection)
        if connection in self._crew.members:
            self._crew.part(connection, reason, after=after)
        else:
            self._announcer.counters.add(connection.counters)

    # --- looking, once a second

    @property
    def looks(self) -> int | None:
        """How often it has looked; None while the connections do not run."""
        return self._looks if self._crew.is_working else None

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._looks += 1
        try:
            self._announcer.vigil.look()
            now = _now()
            if self.places.named and self.allowance.try_more(now):
                self.places.arrange()
            for connection in list(self.connections.values()):
                self.watch.look_at(connection, now, time.time())
                outlived = "lifetime" if self.watch.outlived(connection, now) else None
                if (reason := connection.session.replacement or outlived) is not None:
                    self.replace(connection, reason)
            self._slots.end_overlaps(now)
            self.watch.look(self.places.connection_of, now, time.time())
        except BaseException as exc:
            # A bug. Without this nobody would look ever again, and nobody would know.
            self._crew.fail(exc)
            raise
        self._look_later()

    # --- what connections tell

    def told(self, fact: Fact, connection: Connection) -> None:
        """Something happened on `connection`."""
        slot = connection.number
        successor = self._slots.successor(slot)
        if connection is not successor and connection is not self.connections.get(slot):
            # Whatever else a connection says that is going is no news; and it need not come back to say goodbye.
            if isinstance(fact, Disconnected):
                self._announcer.told(fact, connection)
                connection.perform(connection.session.stop(_now()))
            return
        if connection is successor:
            if isinstance(fact, Live | Answered | SymbolsRejected) and _carries_everything(connection):
                self._put_in_place(slot, old_stays=self._slots.overlap_seconds)
            if isinstance(fact, Live):
                self._announcer.told(fact, connection)
                return
            if isinstance(fact, Reconnecting) and fact.reason == FaultKind.CONNECTION_LIMIT.value:
                self._give_up_successor(connection)
        elif isinstance(fact, Disconnected) and successor is not None and self._crew.is_working:
            # The old one did not wait: its successor inherits the gap.
            self._announcer.told(fact, connection)
            successor.gap, connection.gap = connection.gap, None
            successor.session.expect_gap()
            self._put_in_place(slot)
            return
        self._heed(fact, connection)
        self._announcer.told(fact, connection)
        if isinstance(fact, Live) and fact.again:
            self.backfill.ask(connection.session.subscriptions.wanted)

    def _heed(self, fact: Fact, connection: Connection) -> None:
        """What a fact means for the places of symbols, and for the clocks."""
        match fact:
            case Live() | Answered():
                # Before any limit can pass: is its market open at all?
                self.watch.look_at(connection, _now(), time.time())
            case CapReached(symbols):
                # Another one may hold more: then it is no limit of a connection that was reached.
                most = max(one.session.subscriptions.confirmed_count for one in self.connections.values())
                self.allowance.shown_symbols(max(symbols, most), _now())
                self.places.arrange()
            case SymbolsRejected() if self.places.unplaced:
                self.places.arrange()
            case Reconnecting(reason=FaultKind.CONNECTION_LIMIT.value):
                self._learn_limit(connection)
            case _:
                pass

    def replace(self, connection: Connection, reason: str) -> None:
        """`connection` wants to be replaced, without a break where that is possible; it asks again while it does."""
        slot, now = connection.number, _now()
        if connection is not self.connections.get(slot) or not self._crew.is_working:
            return
        if slot in self._slots.replacing or now < self._next_successor_at.get(slot, now):
            return
        if not self.is_worth_dialling(connection):
            return
        at_most = self.places.room.slots_at_most
        if at_most is not None and len(self.connections) >= at_most:
            connection.perform(connection.session.redial(now, reason))
        elif at_most is None or len(self.connections) + len(self._slots.replacing) < at_most:
            self._begin_replacement(connection, reason)

    def _begin_replacement(self, connection: Connection, reason: str) -> None:
        successor = self._slots.prepare(connection.number, reason)
        self._announcer.replacing(connection, reason)
        successor.perform(successor.session.want(connection.session.subscriptions.wanted, _now()))
        self._crew.start(successor, patient=True)

    def _put_in_place(self, slot: int, *, old_stays: float = 0.0) -> None:
        """The successor of `slot` takes its place, and the old connection goes."""
        old = self._slots.put_in_place(slot)
        new = self.connections[slot]
        if not new.counters.accepted:
            new.perform(new.session.go_on_from(old.session.silence(_now()), _now()))
        # In this order: the silence of a symbol that both carry goes on.
        self.watch.look_at(new, _now(), time.time())
        self._part(old, new.reason, after=old_stays)

    def rejected(self, message: Rejected, data: bytes) -> None:
        """A frame gave no tick."""
        self._announcer.rejected(message, data)

    def callback_failed(self, callback: object, exc: Exception) -> None:
        """A callback raised."""
        self._announcer.callback_failed(callback, exc)

    def _deliver(self, tick: Tick) -> None:
        for callback in self._slots.callbacks:
            try:
                callback(tick)
            except Exception as exc:  # noqa: BLE001 - a listener: whatever it does, reading goes on
                self._announcer.callback_failed(callback, exc)

    def _deliver_late(self, tick: Tick) -> None:
        if tick.symbol in self.places:
            self._deliver(tick)

    def _give_up_successor(self, successor: Connection) -> None:
        """There is no room for it beside the connection whose place it was to take."""
        self._slots.end_replacement(successor.number)
        self._part(successor, "stopped")
        old = self.connections[successor.number]
        old.perform(old.session.redial(_now(), successor.reason))

    def _learn_limit(self, connection: Connection) -> None:
        """The provider does not allow the connection of this slot beside the others."""
        slots = self.connections
        if slots.get(connection.number) is not connection or not any(one.session.is_open for one in slots.values()):
            return
        # The others may still be dialling: what becomes of them is not known yet.
        self.allowance.shown_connections(len(slots) - 1, _now())
        self._leave(connection.number)
        self.places.arrange()


def _carries_everything(connection: Connection) -> bool:
    """Whether it is live and every symbol was answered for: many symbols take more than one request."""
    session = connection.session
    return session.state == "live" and not session.subscriptions.waiting
