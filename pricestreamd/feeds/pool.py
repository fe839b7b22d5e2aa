"""The connections of one feed: which symbols go where, when a connection is begun, replaced or given up.

A slot is a place for a connection and its share of the symbols; its number is the label `connection` everywhere. Most
feeds have one. A further slot is begun when the symbols need it, and given up when it has none left.

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
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

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
from pricestreamd.feeds.overlap import Overlap
from pricestreamd.feeds.placement import Room, place
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.watch import Watch
from pricestreamd.feeds.transports.transport import Options, Transport
from pricestreamd.model.errors import FeedError
from pricestreamd.model.interface import MessageCallback
from pricestreamd.model.tick import Tick, symbol_key
from pricestreamd.providers.base import Adapter, FaultKind, Rejected
from pricestreamd.providers.profile import Profile

_LOOK_SECONDS = 1.0
# The old connection stays for so many seconds after its successor is live: not every server tells when a subscription
# has begun. And the successor may be so many seconds behind it.
_OVERLAP_SECONDS = 1.0
# Where a successor was refused for good, the next is not tried sooner.
_SECONDS_BETWEEN_SUCCESSORS = 60.0

_now = time.monotonic


@dataclass(slots=True)
class _Replacement:
    """`new` takes the place of `old`: first it is prepared, then it is in place while `old` goes.

    `gone_at`: when `old` had gone. What comes twice is not over then, for `new` may be behind.
    """

    old: Connection
    new: Connection
    gone_at: float | None = None


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
        """The last tick of each symbol."""
        self._profile = profile
        self._announcer = announcer
        self._new_adapter = new_adapter
        self._dial = dial
        self._dice = dice
        self._on_frame = on_frame
        self._callbacks: tuple[MessageCallback, ...] = ()
        self._wanted: dict[str, str] = {}
        self._placed: dict[str, int] = {}
        self._named: list[str] = []
        self._asked: set[str] = set()
        self._arranging = self._arrange_again = False
        self.allowance = Allowance(settings, profile)
        self._replacements: dict[int, _Replacement] = {}
        self._next_successor_at: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._crew = Crew(announcer.name, self._gone)
        self.connections: dict[int, Connection] = {0: self._new_connection(0)}
        self.watch = Watch(settings, profile, announcer, self.latest, dice)
        self.backfill = Backfill(announcer.name, new_adapter, options, self.latest, self._deliver_late)

    # --- symbols

    @property
    def wanted(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""
        return list(self._wanted.values())

    def __contains__(self, symbol: str) -> bool:
        return symbol_key(symbol) in self._wanted

    def want(self, symbols: Iterable[str]) -> None:
        """Want `symbols`; one that was refused is asked for again."""
        asked = {symbol_key(symbol): symbol.strip() for symbol in symbols}
        for key, symbol in asked.items():
            self._wanted.setdefault(key, symbol)
        self._arrange(asked.keys())

    def unwant(self, symbols: Iterable[str]) -> None:
        """Want `symbols` no longer."""
        for key in map(symbol_key, symbols):
            if (symbol := self._wanted.pop(key, None)) is not None:
                self.latest.pop(symbol, None)
        self._arrange()

    def connection_of(self, symbol: str) -> Connection | None:
        """The connection that `symbol` has a place on; None if it has none."""
        slot = self._placed.get(symbol_key(symbol))
        return None if slot is None else self.connections.get(slot)

    @property
    def unplaced(self) -> list[str]:
        """The wanted symbols that have no place on any connection."""
        return [symbol for key, symbol in self._wanted.items() if key not in self._placed]

    def settled(self, symbols: Iterable[str]) -> bool:
        """Whether there is nothing to wait for: each is confirmed, refused, without a place, or wanted no longer."""
        placed = ((self.connection_of(symbol), symbol) for symbol in symbols)
        return all(place is None or place.session.subscriptions.settled([symbol]) for place, symbol in placed)

    @property
    def room(self) -> Room:
        """What the symbols have room on now."""
        return self.allowance.room(self.connections)

    def _arrange(self, asked: Collection[str] = ()) -> None:
        """Give every wanted symbol its place, and tell the connections whose share has changed.

        `asked`: keys to ask for again. What a connection says to its new share may ask for another arrangement.
        """
        self._asked.update(asked)
        if self._arranging:
            self._arrange_again = True
            return
        self._arranging = True
        try:
            while True:
                self._arrange_again = False
                asked, self._asked = self._asked, set()
                self._arrange_once(asked)
                if not self._arrange_again:
                    break
        finally:
            self._arranging = False
        self._name_unplaced()
        self._let_rest()
        if self._crew.is_working:
            self._start_all(patient=True)

    def _name_unplaced(self) -> None:
        unplaced = self.unplaced
        if unplaced != self._named:
            self._named = unplaced
            if unplaced:
                self._announcer.unplaced(unplaced, len(self._wanted), self.allowance.in_words())

    def _arrange_once(self, asked: Collection[str]) -> None:
        refused = {key for one in self.connections.values() for key in one.session.subscriptions.rejected}
        before, after = self._placed, place(self._wanted, self._placed, refused.difference(asked), self.room)
        self._placed = after
        now = _now()
        for slot, keys in _by_slot(before, lambda key, slot: after.get(key) != slot).items():
            for one in self._heard_of(slot):
                one.perform(one.session.unwant(keys, now))
        for slot, keys in _by_slot(after, lambda key, slot: before.get(key) != slot or key in asked).items():
            if slot not in self.connections:
                self.connections[slot] = self._new_connection(slot)
            for one in self._of(slot):
                one.perform(one.session.want([self._wanted[key] for key in keys], now))
        used = set(after.values()) or {min(self.connections, default=0)}
        for slot in [slot for slot in self.connections if slot not in used]:
            self._leave(slot)

    def _let_rest(self) -> None:
        """A connection that has lost its last symbol ends where symbols are part of the address."""
        running = self._crew.members
        for slot, one in list(self.connections.items()):
            if one in running and not self.is_worth_dialling(one):
                self._leave(slot)
                self.connections[slot] = self._new_connection(slot)

    def _leave(self, slot: int) -> None:
        """Give up `slot`: its connections go, and nothing is heard of them that others may be asked for by then."""
        going = self._heard_of(slot)
        del self.connections[slot]
        self._replacements.pop(slot, None)
        self._next_successor_at.pop(slot, None)
        for one in going:
            one.perform(one.session.unwant(one.session.subscriptions.wanted, _now()))
            self._part(one, "stopped")

    def _of(self, slot: int) -> list[Connection]:
        """The connection of `slot`, and the one that will take its place."""
        return [one for one in (self.connections.get(slot), self._successor(slot)) if one is not None]

    def _heard_of(self, slot: int) -> list[Connection]:
        """As `_of`, and the connection that was in place a moment ago, while it goes."""
        replacement = self._replacements.get(slot)
        if replacement is None or replacement.gone_at is not None:
            return self._of(slot)
        return [replacement.old, replacement.new]

    def _successor(self, slot: int) -> Connection | None:
        """The connection that will take the place of that of `slot`."""
        replacement = self._replacements.get(slot)
        in_place = replacement is None or self.connections.get(slot) is not replacement.old
        return None if replacement is None or in_place else replacement.new

    # --- what all connections share

    @property
    def callbacks(self) -> tuple[MessageCallback, ...]:
        """They hear every tick of every connection, inline."""
        return self._callbacks

    @callbacks.setter
    def callbacks(self, callbacks: tuple[MessageCallback, ...]) -> None:
        for one in self._all():
            if one.callbacks is self._callbacks:  # otherwise an overlap stands between
                one.callbacks = callbacks
        self._callbacks = callbacks

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
        self._arrange()

    def retry_now(self) -> None:
        """Dial at once what is parked or waiting: something has changed."""
        self.allowance.forget()
        self.backfill.refused = False
        self._next_successor_at.clear()
        self._arrange()
        for one in self._all():
            one.perform(one.session.retry_now(_now()))

    def _all(self) -> list[Connection]:
        """Also those that are going."""
        slots = (one for slot in self.connections for one in self._of(slot))
        return list(dict.fromkeys((*slots, *self._crew.members)))

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
            for slot in list(self._replacements):
                self._end_replacement(slot)
            self.watch.pause_all()
            await self.backfill.stop()

    async def stop(self) -> None:
        """Give up the symbols, say goodbye everywhere and end `run`; whatever is not done in time is cut."""
        await self._crew.stop(self._all())

    def _begin(self, *, patient: bool) -> None:
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
        if connection is self._successor(slot):
            self._end_replacement(slot)
            if isinstance(error, FeedError):
                self._next_successor_at[slot] = _now() + _SECONDS_BETWEEN_SUCCESSORS
                self._announcer.failed(error.reason, error)
        elif (replacement := self._replacements.get(slot)) is not None and connection is replacement.old:
            replacement.gone_at = _now()
        if self.connections.get(slot) is not connection:
            self.watch.forget(connection)
            self._announcer.counters.add(connection.counters)
            if error is None or isinstance(error, FeedError | asyncio.CancelledError):
                return
        if error is not None:
            self._crew.fail(None if isinstance(error, asyncio.CancelledError) else error)

    def _new_connection(self, slot: int) -> Connection:
        session = Session(self._announcer.name, self.settings, self._new_adapter, self._dice)
        connection = Connection(slot, session, self._dial, self, latest=self.latest, on_frame=self._on_frame)
        connection.callbacks = self._callbacks
        return connection

    def _part(self, connection: Connection, reason: str, *, after: float = 0.0) -> None:
        """Let a connection go that is no slot's any more."""
        self.watch.forget(connection)
        if connection in self._crew.members:
            self._crew.part(connection, reason, after=after)
        else:
            self._announcer.counters.add(connection.counters)

    # --- looking, once a second

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        try:
            now = _now()
            if self._named and self.allowance.try_more(now):
                self._arrange()
            for connection in list(self.connections.values()):
                self.watch.look_at(connection, now, time.time())
                outlived = "lifetime" if self.watch.outlived(connection, now) else None
                if (reason := connection.session.replacement or outlived) is not None:
                    self.replace(connection, reason)
            for slot, replacement in list(self._replacements.items()):
                if replacement.gone_at is not None and now - replacement.gone_at >= _OVERLAP_SECONDS:
                    self._end_replacement(slot)
            self.watch.look(self.connection_of, now, time.time())
        except BaseException as exc:
            # A bug. Without this nobody would look ever again, and nobody would know.
            self._crew.fail(exc)
            raise
        self._look_later()

    # --- what connections tell

    def told(self, fact: Fact, connection: Connection) -> None:
        """Something happened on `connection`."""
        slot = connection.number
        successor = self._successor(slot)
        if connection is not successor and connection is not self.connections.get(slot):
            # Whatever else a connection says that is going is no news; and it need not come back to say goodbye.
            if isinstance(fact, Disconnected):
                self._announcer.told(fact, connection)
                connection.perform(connection.session.stop(_now()))
            return
        if connection is successor:
            if isinstance(fact, Live | Answered | SymbolsRejected) and _carries_everything(connection):
                self._put_in_place(slot, old_stays=_OVERLAP_SECONDS)
            if isinstance(fact, Live):
                self._announcer.told(fact, connection)
                return
            if isinstance(fact, Reconnecting) and fact.reason == FaultKind.CONNECTION_LIMIT.value:
                self._give_up_successor(slot)
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
                self._arrange()
            case SymbolsRejected() if len(self._placed) < len(self._wanted):
                self._arrange()
            case Reconnecting(reason=FaultKind.CONNECTION_LIMIT.value):
                self._learn_limit(connection)
            case _:
                pass

    def replace(self, connection: Connection, reason: str) -> None:
        """`connection` wants to be replaced, without a break where that is possible; it asks again while it does."""
        slot, now = connection.number, _now()
        if connection is not self.connections.get(slot) or not self._crew.is_working:
            return
        if slot in self._replacements or now < self._next_successor_at.get(slot, now):
            return
        if not self.is_worth_dialling(connection):
            return
        at_most = self.room.slots_at_most
        if at_most is not None and len(self.connections) >= at_most:
            connection.perform(connection.session.redial(now, reason))
        elif at_most is None or len(self.connections) + len(self._replacements) < at_most:
            self._begin_replacement(connection, reason)

    def _begin_replacement(self, connection: Connection, reason: str) -> None:
        slot = connection.number
        successor = self._new_connection(slot)
        successor.reason = reason
        overlap = Overlap(self._deliver, self.latest.values())
        connection.callbacks, successor.callbacks = (overlap.old,), (overlap.new,)
        self._replacements[slot] = _Replacement(connection, successor)
        self._announcer.replacing(connection, reason)
        successor.perform(successor.session.want(connection.session.subscriptions.wanted, _now()))
        self._crew.start(successor, patient=True)

    def _put_in_place(self, slot: int, *, old_stays: float = 0.0) -> None:
        """The successor of `slot` takes its place, and the old connection goes."""
        replacement = self._replacements[slot]
        self.connections[slot] = replacement.new
        # In this order: the silence of a symbol that both carry goes on.
        self.watch.look_at(replacement.new, _now(), time.time())
        self._part(replacement.old, replacement.new.reason, after=old_stays)

    def _end_replacement(self, slot: int) -> None:
        replacement = self._replacements.pop(slot)
        for one in (replacement.old, replacement.new):
            one.callbacks = self._callbacks

    def rejected(self, message: Rejected, data: bytes) -> None:
        """A frame gave no tick."""
        self._announcer.rejected(message, data)

    def callback_failed(self, callback: object, exc: Exception) -> None:
        """A callback raised."""
        self._announcer.callback_failed(callback, exc)

    def _deliver(self, tick: Tick) -> None:
        for callback in self._callbacks:
            try:
                callback(tick)
            except Exception as exc:  # noqa: BLE001 - a listener: whatever it does, reading goes on
                self._announcer.callback_failed(callback, exc)

    def _deliver_late(self, tick: Tick) -> None:
        if tick.symbol in self:
            self._deliver(tick)

    def _give_up_successor(self, slot: int) -> None:
        replacement = self._replacements[slot]
        self._end_replacement(slot)
        self._part(replacement.new, "stopped")
        replacement.old.perform(replacement.old.session.redial(_now(), replacement.new.reason))

    def _learn_limit(self, connection: Connection) -> None:
        """The provider does not allow the connection of this slot beside the others."""
        slots = self.connections
        if slots.get(connection.number) is not connection or not any(one.session.is_open for one in slots.values()):
            return
        # The others may still be dialling: what becomes of them is not known yet.
        self.allowance.shown_connections(len(slots) - 1, _now())
        self._leave(connection.number)
        self._arrange()


def _carries_everything(connection: Connection) -> bool:
    """Whether it is live and every symbol was answered for: many symbols take more than one request."""
    session = connection.session
    return session.state == "live" and not session.subscriptions.waiting


def _by_slot(placed: Mapping[str, int], which: Callable[[str, int], bool]) -> dict[int, list[str]]:
    """The keys for which `which` is true, slot by slot."""
    found: dict[int, list[str]] = {}
    for key, slot in placed.items():
        if which(key, slot):
            found.setdefault(slot, []).append(key)
    return found
