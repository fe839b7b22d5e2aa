"""Which delivery is tried next? The deliveries of one sink that are in memory, in the order of their turns. No clock.

new     was just committed and never tried: its turn is at once
old     was never tried either, but was read from the outbox: before a new one, unless it must wait for long, because
        the destination is dead or asked to be left alone, or has waited for long: then every second turn is a new one's
later   was tried and failed: when its own time has come; at a dead destination one of these, or an old one, after each
        pause, whatever is new
held    the sink has put it off: when its own time has come, before all others and whatever the destination's pace

Among those that were never tried the order is that of their commits. At most `capacity` are here; the outbox has them
all. Whoever finds no place, or must make place for one that is more urgent, is left to it: `left_out_at` says when the
first of those is wanted again. Only what the outbox knows everything of can be left to it.

When the destination is back, everything that waits for its time is brought forward, each once: an attempt before its
time that fails costs nothing of the schedule, and comes again only after the next attempt at its time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from dataclasses import replace
from itertools import takewhile
from operator import attrgetter

from pricestreamd.model.events import topic_of
from pricestreamd.state.rows import Backlog, Delivery

CAPACITY = 1000
# Of so many that were brought forward it is remembered; the others may be, once more.
REMEMBERED = 10_000
NEVER = float("inf")
# A new one does not wait for older ones that must wait longer than this, nor longer than this for those of a backlog.
LONG_SECONDS = 0.5

_by_order = attrgetter("order")
_by_turn = attrgetter("at", "order")


class Entry:
    """One delivery in memory. Times in seconds of a monotonic clock.

    `attempts` were made at their time. `due` is when the schedule wants the next one, `at` when it is made: earlier
    where the destination is back. `born`: when its event was committed, or this process began, if that was later.
    `settled`: what came of attempts is written. `owed_at`, epoch seconds: since when it is owed, which is later than
    its commit where the sink has put it off.
    """

    __slots__ = ("at", "attempts", "born", "delivery", "due", "new", "order", "owed_at", "settled")

    def __init__(self, delivery: Delivery, order: tuple[float, int], *, born: float, due: float, new: bool) -> None:
        self.delivery = delivery
        self.order = order
        self.attempts = delivery.attempts
        self.born = born
        self.due = self.at = due
        self.new = new
        self.settled = True
        self.owed_at = delivery.created_at

    @property
    def clean(self) -> bool:
        """Whether the outbox is known to have it, as it is: then it may be left to it."""
        return self.settled and self.delivery.number > 0

    @property
    def id(self) -> str:
        """The id of its event, which it is known by."""
        return self.delivery.event_id

    @property
    def topic(self) -> tuple[str, ...]:
        """What its event is about; one that cannot be read is like no other."""
        return topic_of(self.delivery.body) or (self.id,)


class Deliveries:
    """Those of one sink, at most `capacity`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.received = 0
        """Those that came here, without those that were left to the outbox again."""
        self._known: dict[str, Entry] = {}
        self._new: list[Entry] = []
        self._old: list[Entry] = []
        self._later: list[Entry] = []
        self._held: list[Entry] = []
        # Those of them that are in the outbox only: when they were committed, and since when they are owed.
        self._held_elsewhere: dict[str, tuple[float, float]] = {}
        self._brought: OrderedDict[str, int] = OrderedDict()
        # Whether the last turn was that of a new one, before an older one.
        self._overtaken = False
        # The end of the last pause of a dead destination after which one had its turn before new ones.
        self._paused_to = NEVER
        # While it is dead: how often one about an alert and a symbol had such a turn.
        self._tried: Counter[tuple[str, ...]] = Counter()
        self.left_out_at = NEVER
        """When something is wanted that is in the outbox only."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._known

    @property
    def known(self) -> dict[str, Entry]:
        """All that are here, those that are being tried included."""
        return self._known

    @property
    def half_empty(self) -> bool:
        """Whether there is room for many."""
        return len(self._known) <= self.capacity // 2

    @property
    def crowded(self) -> bool:
        """Whether there will soon be no room, and some are here of which the outbox has not said that it has them."""
        if len(self._known) < self.capacity * 3 // 4:
            return False
        return any(not entry.delivery.number for entry in self._known.values())

    def has_room(self, now: float) -> bool:
        """Whether it is worth reading on: half is empty, or some wait for so long that others may come before them."""
        if self.half_empty:
            return True
        return any(place and place[-1].at > now and place[-1].clean for place in (self._later, self._held))

    def leave_out(self, at: float) -> None:
        """Something stays in the outbox that is wanted at `at`."""
        self.left_out_at = min(self.left_out_at, at)

    def admit(self, entry: Entry) -> bool:
        """Take `entry` in; False: it is left to the outbox, as there is no place for it."""
        if len(self._known) >= self.capacity and not self._make_place(entry):
            return False
        self.received += 1
        self._known[entry.id] = entry
        self._held_elsewhere.pop(entry.id, None)
        if entry.attempts:
            insort(self._later, entry, key=_by_turn)
        else:
            insort(self._new if entry.new else self._old, entry, key=_by_order)
        return True

    def confirm(self, entry: Entry, row: Delivery) -> None:
        """The outbox says that it has `entry`, and under which number."""
        if entry.delivery.number:
            return
        entry.delivery = row
        entry.order = (row.number, entry.order[1])
        self._new.sort(key=_by_order)
        self._old.sort(key=_by_order)
        self._later.sort(key=_by_turn)
        self._held.sort(key=_by_turn)

    def renew(self, entry: Entry) -> None:
        """`entry` was read from the outbox before its news came: it is new all the same."""
        if entry in self._old:
            self._old.remove(entry)
            entry.new = True
            insort(self._new, entry, key=_by_order)

    def next(self, now: float, *, dead: bool, free_at: float, read_to: float, only_new: bool = False) -> Entry | None:
        """Take the entry whose turn it is; it stays known until `finish` or `again`. None: nobody's.

        `dead` and `free_at` are the destination's pace. `read_to`: a new one beyond this number, or without one, must
        wait, as others before it are still to be read; not for long, though. `only_new`: nobody else has a turn.
        """
        if self._held and self._held[0].at <= now:
            return self._held.pop(0)
        if not dead:
            self._tried.clear()
        if dead and not only_new and now >= free_at != self._paused_to and (self._old or self._is_due(now)):
            # A pause has ended, for one of those that wait: they are not put behind new ones that never end.
            self._paused_to = free_at
            return self._waiting(now) if self._old else self._fairest(now)
        if only_new or (self._new and (dead or free_at - now > LONG_SECONDS)):
            return self._new.pop(0) if self._new else None
        if self._new and self._new_is_first(now, read_to):
            return self._new.pop(0)
        return self._waiting(now) if now >= free_at else None

    def _is_due(self, now: float) -> bool:
        """Whether one that has failed may be tried."""
        return bool(self._later) and self._later[0].at <= now

    def _waiting(self, now: float) -> Entry | None:
        """One that is not new."""
        if self._old:
            self._overtaken = False
            return self._old.pop(0)
        return self._later.pop(0) if self._is_due(now) else None

    def _fairest(self, now: float) -> Entry:
        """Of those that are due the first about whose alert and symbol least was tried since the last pause began.

        A destination may refuse one alert for ever: what waits because of it is not behind all that it has made.
        """
        due = list(takewhile(lambda entry: entry.at <= now, self._later))
        fairest = min(due, key=lambda entry: self._tried[entry.topic])
        self._tried[fairest.topic] += 1
        self._later.remove(fairest)
        return fairest

    def _new_is_first(self, now: float, read_to: float) -> bool:
        """Whether the first new one comes before all that are old."""
        first = self._new[0]
        waited_long = now - first.due > LONG_SECONDS
        if not self._old or first.order < self._old[0].order:
            return waited_long or first.order[0] <= read_to
        if not waited_long or self._overtaken:
            return False
        self._overtaken = True
        return True

    def next_at(self, free_at: float, *, only_new: bool = False) -> float:
        """When there may be somebody's turn, as far as it is a matter of time."""
        if self._new:
            return 0.0
        held = self._held[0].at if self._held else NEVER
        if only_new:
            return held
        if self._old:
            return min(held, free_at)
        return min(held, max(free_at, self._later[0].at)) if self._later else held

    def finish(self, entry: Entry) -> None:
        """`entry` is settled for good."""
        self._known.pop(entry.id, None)
        self._brought.pop(entry.id, None)

    def again(self, entry: Entry, *, due: float, at: float) -> None:
        """`entry` was tried and failed, or its attempt was broken off; its next turn is `at`."""
        entry.due, entry.at, entry.new = due, at, False
        if entry.attempts:
            insort(self._later, entry, key=_by_turn)
        else:
            insort(self._old, entry, key=_by_order)

    def put_off(self, entry: Entry, at: float, *, owed_at: float) -> None:
        """The sink wants `entry` `at` that time, which is `owed_at` in epoch seconds; nothing has failed."""
        entry.due, entry.at, entry.new, entry.owed_at = at, at, False, owed_at
        insort(self._held, entry, key=_by_turn)

    def without_held(self, backlog: Backlog, now: float) -> Backlog:
        """What of `backlog`, as the outbox counts it, is owed at `now`, epoch seconds: what was put off is not, yet."""
        self._held_elsewhere = {key: times for key, times in self._held_elsewhere.items() if times[1] > now}
        elsewhere = self._held_elsewhere.values()
        kept = [entry for entry in self._known.values() if entry.delivery.number]
        put_off = [entry.delivery.created_at for entry in kept if entry.owed_at > entry.delivery.created_at]
        put_off += [created_at for created_at, _ in elsewhere]
        if not put_off or backlog.oldest_at is None:
            return backlog
        owed = [entry.owed_at for entry in kept if entry.owed_at <= now]
        pending = max(0, backlog.pending - (len(kept) - len(owed)) - len(elsewhere))
        if not pending:
            return replace(backlog, pending=0, oldest_at=None)
        if backlog.oldest_at < min(put_off):
            return replace(backlog, pending=pending)
        # Those that are in the outbox only are not older than those here.
        return replace(backlog, pending=pending, oldest_at=min(owed, default=backlog.oldest_at))

    def tried_early(self, entry: Entry) -> None:
        """`entry` was brought forward and failed: not again before its own time."""
        self._brought[entry.id] = entry.attempts
        self._brought.move_to_end(entry.id)
        if len(self._brought) > REMEMBERED:
            self._brought.popitem(last=False)

    def may_come_early(self, entry: Entry) -> bool:
        """Whether `entry` was not yet tried early since its last attempt at its time."""
        return self._brought.get(entry.id) != entry.attempts

    def bring_forward(self, now: float) -> None:
        """The destination is back: whoever may come early has their turn."""
        for entry in self._later:
            if entry.at > now and self.may_come_early(entry):
                entry.at = now
        self._later.sort(key=_by_turn)

    def ask_for_all(self, now: float) -> None:
        """Somebody wants everything tried now, whatever was tried early before."""
        self._brought.clear()
        self.bring_forward(now)

    def _make_place(self, entry: Entry) -> bool:
        """Leave somebody less urgent than `entry` to the outbox; False where everybody is as urgent."""
        for place in (self._held, self._later):
            for victim in reversed(place):
                if entry.attempts and victim.at <= entry.at:
                    break
                if victim.clean:
                    self._leave_out(place, victim)
                    return True
        if entry.new:
            for victim in reversed(self._old):
                if victim.clean:
                    self._leave_out(self._old, victim)
                    return True
        return False

    def _leave_out(self, place: list[Entry], victim: Entry) -> None:
        key = _by_order if place is self._old else _by_turn
        del place[bisect_left(place, key(victim), key=key)]
        del self._known[victim.id]
        if place is self._held:
            self._held_elsewhere[victim.id] = victim.delivery.created_at, victim.owed_at
        self.received -= 1
        self.leave_out(victim.at)
