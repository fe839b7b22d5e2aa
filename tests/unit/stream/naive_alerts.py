"""Alerts in slow and plain words: what docs/alerts.md says, with every condition looked at at every tick.

The model that the engine is compared with. It knows no quiet zones, and works out from the list of all prices what the
engine remembers in other ways. Alerts are the mappings that a person writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

KINDS = ("above", "below", "change_percent", "trailing_percent", "day_volume_above", "trade_size_above")
Told = tuple[str, str, str, float, bool, bool]
"""Event, alert, reason or kinds, timestamp, late, after_gap."""


class Hours:
    """A market that opens every 200 s, for 100 s."""

    def is_open(self, at: float) -> bool:
        return at % 200 < 100

    def next_change(self, at: float) -> float:
        return (at // 100 + 1) * 100


@dataclass
class Tick:
    """One price. `now` and `wall` are our two clocks; `gap`: the first after one; `before`: the time of the last one."""

    price: float
    at: float
    now: float
    wall: float = 0.0
    volume: float | None = None
    feed: str = "us"
    late: bool = False
    gap: bool = False
    before: float | None = None
    previous: float | None = None


def scaled(mark: tuple[float, float] | None, ratio: float) -> tuple[float, float] | None:
    return None if mark is None else (mark[0] * ratio, mark[1])


# --- what is known of a symbol


@dataclass
class Sessions:
    """Regular prices since somebody asks for them. Gaps are told between prices: begin, end, how many were before."""

    since: float
    marks: dict[str, tuple[float, float]]
    prices: list[tuple[float, float]] = field(default_factory=list)
    gaps: list[tuple[float, float, int]] = field(default_factory=list)

    def open(self, at: float) -> tuple[float, float] | None:
        begin = at // 200 * 200
        if "open" in self.marks and self.marks["open"][1] == begin:
            return self.marks["open"]
        first = next((n for n, (t, _) in enumerate(self.prices) if begin <= t < begin + 100), None)
        if self.since >= begin or first is None or any(end >= begin and n <= first for _, end, n in self.gaps):
            return None
        return self.prices[first][1], begin

    def close(self, at: float) -> tuple[float, float] | None:
        end = (at - 100) // 200 * 200 + 100
        if "close" in self.marks and self.marks["close"][1] == end:
            return self.marks["close"]
        regular = [n for n, (t, _) in enumerate(self.prices) if t < end and t % 200 < 100]
        if self.since >= end or not regular:
            return None
        for gap_begin, gap_end, n in self.gaps:
            meets = gap_begin % 200 < 100 or gap_end // 200 * 200 >= gap_begin
            if n > regular[-1] and gap_begin < end and meets:
                return None
        return self.prices[regular[-1]][1], end


class Symbol:
    """One symbol and its alerts, by name, in the order in which those names were set first."""

    def __init__(self, hours: Hours | None) -> None:
        self.hours = hours
        self.tracked = False
        self.since = 0.0
        self.ticks: list[Tick] = []
        self.last: Tick | None = None
        self.known = self.gap = self.stale = False
        self.alerts: dict[str, Alert] = {}
        self.market: list[Tick] = []
        self.trails: dict[float, list[tuple[float, float]]] = {}
        self.sessions: Sessions | None = None

    def follow(self) -> None:
        """Remember what the alerts of now ask for, and nothing else."""
        parts = [part for alert in self.alerts.values() for cond in alert.conditions for part in cond.parts]
        asked = {part.baseline for part in parts if part.kind == "change_percent"}
        for seconds in {seconds for seconds in asked if isinstance(seconds, float)} ^ set(self.trails):
            if self.trails.pop(seconds, None) is None:
                self.trails[seconds] = []
        if self.tracked:
            past = self.market or ([self.last] if self.last is not None else [])
            for trail in self.trails.values():
                if not trail:
                    trail.extend((tick.at, tick.price) for tick in past)
        if not asked & {"open", "close"} or not self.tracked or self.hours is None:
            self.sessions = None
        elif self.sessions is None:
            known = [(part.mark[1], str(part.baseline), part.mark) for part in parts if part.mark is not None]
            marks = {name: mark for _, name, mark in sorted(known)}
            self.sessions = Sessions(max([self.since, *(tick.at for tick in self.ticks)]), marks)

    def take(self, tick: Tick) -> list[Told]:
        told: list[Told] = []
        before = self.last
        if before is not None:
            tick.before = before.at
            tick.previous = before.price if before.feed == tick.feed else None
            if before.feed != tick.feed and tick.wall - before.wall <= 60:
                self.rebase(tick.price / before.price)
                self.market = []
        tick.gap, self.gap = self.gap, False
        self.last = tick
        self.ticks.append(tick)
        self.market.append(tick)
        for trail in self.trails.values():
            trail.append((tick.at, tick.price))
        if self.sessions is not None:
            self.sessions.prices.append((tick.at, tick.price))
        if self.stale:
            told += self.set_stale(tick.at, stale=False)
        for alert in self.alerts.values():
            told += alert.take(tick)
        return told

    def rebase(self, ratio: float) -> None:
        self.trails = {s: [(at, price * ratio) for at, price in trail] for s, trail in self.trails.items()}
        if self.sessions is not None:
            self.sessions.prices = [(at, price * ratio) for at, price in self.sessions.prices]
            self.sessions.marks = {name: (price * ratio, at) for name, (price, at) in self.sessions.marks.items()}
        for alert in self.alerts.values():
            for cond in alert.conditions:
                for part in cond.parts:
                    part.start = None if part.start is None else part.start * ratio
                    part.mark = scaled(part.mark, ratio)

    def set_stale(self, at: float, *, stale: bool) -> list[Told]:
        self.stale = stale
        if stale:
            self.doubt()
        return [told for alert in self.alerts.values() for told in alert.review(at)]

    def doubt(self) -> None:
        for alert in self.alerts.values():
            for cond in alert.conditions:
                if cond.hold is not None:
                    cond.hold.unseen = True

    def miss(self, begin: float, end: float, now: float) -> None:
        self.gap = True
        for alert in self.alerts.values():
            for cond in alert.conditions:
                if cond.hold is not None and not alert.miss(cond.hold, begin, end, now):
                    cond.hold = None
        if self.sessions is not None:
            self.sessions.gaps.append((begin, end, len(self.sessions.prices)))

    def track(self, wall: float) -> None:
        self.tracked, self.since = True, wall
        # Alerts that were there before have missed what was meanwhile.
        self.gap, self.known = self.known, True
        self.follow()

    def leave(self) -> None:
        """Not tracked any more."""
        self.forget()
        for alert in self.alerts.values():
            for cond in alert.conditions:
                cond.hold = None

    def forget(self) -> None:
        """What hangs on every tick begins anew when it is tracked again."""
        self.tracked = self.stale = False
        self.known = bool(self.alerts) and self.known
        self.ticks, self.market, self.last, self.sessions = [], [], None, None
        self.trails = {seconds: [] for seconds in self.trails}
        for alert in self.alerts.values():
            alert.shut = None
            for cond in alert.conditions:
                cond.lack = None
            alert.review(None)

    def put(self, name: str, written: dict[str, Any], *, revive: bool) -> None:
        """Set an alert, in the place of the one of that name."""
        price = self.ticks[-1].price if self.ticks else None
        old = self.alerts.get(name)
        if old is not None:
            self.alerts[name] = old.replaced(written, price, revive=revive)
        else:
            self.alerts[name] = Alert(name, written, self)
            for cond in self.alerts[name].conditions:
                cond.begin_from(price)
        self.follow()

    def remove(self, name: str) -> None:
        self.alerts.pop(name, None)
        self.known = self.known and bool(self.alerts or self.tracked)
        self.follow()

    def restart(self, age: Callable[[float], float], last: Tick | None) -> None:
        """Another process goes on. `age`: a time of the old timers' clock to how it is on the new one."""
        tracked = self.tracked
        self.forget()
        self.tracked, self.last = tracked, last
        for alert in self.alerts.values():
            if alert.fired_now is not None:
                alert.fired_now = age(alert.fired_now)
            for cond in alert.conditions:
                if cond.hold is not None:
                    begun_at = cond.hold.begun_at + cond.hold.unwatched
                    cond.hold = Hold(age(cond.hold.counts_from), begun_at, True, False, True, unseen=True)


# --- conditions


NUMBERS = itertools.count()


@dataclass
class Hold:
    """Of two that are due together, the first that began to wait is first. Each is `asked` once, when it is due.

    `missed`: the half seconds that nobody watched.
    """

    since: float
    begun_at: float
    crossed: bool
    late: bool
    after_gap: bool
    unseen: bool = False
    number: int = field(default_factory=NUMBERS.__next__)
    asked: bool = False
    missed: set[int] = field(default_factory=set)

    @property
    def unwatched(self) -> float:
        return len(self.missed) / 2

    @property
    def counts_from(self) -> float:
        return self.since + self.unwatched


class Part:
    """One condition as it is written. `start`: where a move begins; `mark`: the open or close last used, and its time."""

    def __init__(self, kind: str, written: dict[str, Any]) -> None:
        self.kind = kind
        self.threshold: float = written[kind]
        self.baseline: str | float = written.get("baseline", "armed") if kind == "change_percent" else "armed"
        self.start: float | None = None
        self.mark: tuple[float, float] | None = None
        self.value = 0.0
        self.true: bool | None = None
        self.lack: str | None = None

    @property
    def text(self) -> tuple[Any, ...]:
        return self.kind, self.threshold, self.baseline

    def look(self, symbol: Symbol, tick: Tick) -> bool | None:
        self.lack = None
        self.true = self._look(symbol, tick)
        return self.true

    def _look(self, symbol: Symbol, tick: Tick) -> bool | None:
        price, threshold = tick.price, self.threshold
        if self.kind in ("above", "below"):
            self.value = price
            return price >= threshold if self.kind == "above" else price <= threshold
        if self.kind == "trailing_percent":
            extreme = max if threshold > 0 else min
            self.start = price if self.start is None else extreme(self.start, price)
            self.value = 100.0 * (price - self.start) / self.start
            return -self.value >= threshold if threshold > 0 else self.value >= -threshold
        if self.kind == "change_percent":
            start = self._start(symbol, tick)
            if start is None:
                return None
            self.value = 100.0 * (price - start) / start
            return abs(self.value) >= threshold
        if tick.volume is None:
            self.lack = "no_volume"
            return None
        self.value = tick.volume
        return self.value >= threshold

    def _start(self, symbol: Symbol, tick: Tick) -> float | None:
        if self.baseline == "armed":
            self.start = tick.price if self.start is None else self.start
            return self.start
        if self.baseline == "previous":
            self.lack = "no_previous" if tick.previous is None else None
            return tick.previous
        if isinstance(self.baseline, float):
            old = [price for at, price in symbol.trails[self.baseline] if at <= tick.at - self.baseline]
            self.lack = None if old else "none_that_old"
            return old[-1] if old else None
        if symbol.sessions is None:
            self.mark, self.lack = None, "market_hours_unknown"
            return None
        self.mark = symbol.sessions.open(tick.at) if self.baseline == "open" else symbol.sessions.close(tick.at)
        self.lack = None if self.mark is not None else f"{self.baseline}_unknown"
        return self.mark[0] if self.mark is not None else None

    def is_back(self, hysteresis: float) -> bool:
        """Whether the value, which is not true, is as far back as it has to be."""
        threshold, back = Decimal(repr(abs(self.threshold))), Decimal(repr(hysteresis))
        value = Decimal(repr(self.value))
        if self.kind == "below":
            return value >= threshold * (100 + back) / 100
        if self.kind == "trailing_percent":
            return (-value if self.threshold > 0 else value) <= threshold - back
        return abs(value) <= (threshold - back if self.kind == "change_percent" else threshold * (100 - back) / 100)


class Condition:
    """What fires by itself. `told`: it fired, or was muted, and has not been false since."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.seen = self.told = self.muted = self.done = False
        self.hold: Hold | None = None
        self.lack: str | None = None

    @property
    def text(self) -> list[tuple[Any, ...]]:
        return [part.text for part in self.parts]

    @property
    def name(self) -> str:
        return "+".join(part.kind for part in self.parts)

    def begin_from(self, price: float | None) -> None:
        for part in self.parts:
            if price is not None and (part.kind == "trailing_percent" or part.baseline == "armed"):
                part.start = price


# --- alerts


class Alert:
    """One alert on one symbol. `fired_now`: the timers' clock at the last firing."""

    def __init__(self, name: str, written: dict[str, Any], symbol: Symbol) -> None:
        self.name, self.symbol = name, symbol
        self.fired_now: float | None = None
        self.held_back = 0
        self.shut: str | None = None
        self.blind: str | None = None
        self.written = written
        self.conditions = fresh(written)
        self.once = written.get("once", False)
        self.cooldown: float = written.get("cooldown", 0.0)
        self.for_: float = written.get("for", 0.0)
        self.review(None)

    @property
    def done(self) -> bool:
        return all(cond.done for cond in self.conditions)

    def replaced(self, written: dict[str, Any], price: float | None, *, revive: bool) -> Alert:
        """The same alert as it is written now: a condition whose text stayed goes on."""
        new = Alert(self.name, written, self.symbol)
        if not (self.done and revive):
            new.fired_now, new.held_back = self.fired_now, self.held_back
        for n, cond in enumerate(new.conditions):
            old = next((old for old in self.conditions if old.text == cond.text), None)
            if old is None or (old.done and revive):
                cond.begin_from(price)
            else:
                old.done = old.done and new.once
                new.conditions[n] = old
                if old.hold is not None:
                    old.hold.number, old.hold.asked = next(NUMBERS), False
        new.review(None)
        return new

    def rearm(self, price: float | None) -> None:
        self.fired_now, self.held_back = None, 0
        self.conditions = fresh(self.written)
        for cond in self.conditions:
            cond.begin_from(price)
        self.review(None)

    # --- a tick

    def take(self, tick: Tick) -> list[Told]:
        told: list[Told] = []
        for cond in self.conditions:
            if cond.done:
                continue
            self.shut = self.closed(tick.at)
            told += self.review(tick.at)
            if self.shut is None:
                true = self.look(cond, tick)
                told += self.review(tick.at)
                if true is not None:
                    told += self.judge(cond, tick, true=true)
        return told

    def look(self, cond: Condition, tick: Tick) -> bool | None:
        found = [part.look(self.symbol, tick) for part in cond.parts]
        unknown = None in found and False not in found
        cond.lack = [part.lack for part in cond.parts if part.true is None][-1] if unknown else None
        return None if unknown else all(found)

    def judge(self, cond: Condition, tick: Tick, *, true: bool) -> list[Told]:
        first, cond.seen = not cond.seen, True
        if not true:
            if cond.hold is not None:
                cond.hold = None
            elif cond.told or cond.muted:
                hysteresis = self.written.get("hysteresis", 0.0)
                if any(part.true is False and part.is_back(hysteresis) for part in cond.parts):
                    self.arm_again(cond, tick.price)
            return []
        if cond.hold is not None and not self.open_throughout(cond.hold.begun_at, tick.at):
            cond.hold = None
        if cond.hold is not None:
            cond.hold.after_gap = cond.hold.after_gap or (cond.hold.unseen and self.after_gap(tick))
            cond.hold.unseen = False
            return self.fire(cond, tick, cond.hold) if tick.now - cond.hold.counts_from >= self.for_ else []
        if cond.muted or (cond.told and self.written.get("trigger") != "every_update"):
            return []
        if first and self.written.get("on_start") == "require_cross":
            cond.muted = True
            return []
        if self.for_ and not cond.told:
            cond.hold = Hold(tick.now, tick.at, not first, tick.late, self.after_gap(tick))
            return []
        return self.fire(cond, tick, None)

    def fire(self, cond: Condition, tick: Tick, hold: Hold | None) -> list[Told]:
        cond.told, cond.hold = True, None
        made = self.fired_now is None or not self.cooldown or tick.now - self.fired_now >= self.cooldown
        told: list[Told] = []
        if made:
            self.fired_now = tick.now
            late = tick.late or (hold is not None and hold.late)
            after_gap = self.after_gap(tick) or (hold is not None and hold.after_gap)
            told.append(("price.alert", self.name, cond.name, tick.at, late, after_gap))
        else:
            self.held_back += 1
        moved = [part for part in cond.parts if part.kind == "change_percent" and part.baseline == "armed"]
        for part in moved:
            part.start = tick.price
        if moved:
            self.arm_again(cond, tick.price)
        if made and self.once:
            for one in self.conditions:
                one.done, one.hold = True, None
            self.review(None)
        return told

    def arm_again(self, cond: Condition, price: float) -> None:
        cond.told = cond.muted = False
        for part in cond.parts:
            part.start = price if part.kind == "trailing_percent" else part.start

    def reach(self, cond: Condition, due: float) -> list[Told]:
        """It has held for long enough, by the timers' clock at `due`, and no tick has come."""
        hold, last = cond.hold, self.symbol.last
        if hold is None:
            return []
        hold.asked = True
        if hold.unseen or last is None:
            return []
        at = hold.begun_at + hold.unwatched + self.for_
        if not self.open_throughout(hold.begun_at, at):
            cond.hold = None
            return []
        return self.fire(cond, Tick(last.price, at, due, volume=last.volume), hold)

    def miss(self, hold: Hold, begin: float, end: float, now: float) -> bool:
        """Nobody watched between these times; False: of the time for which it held nothing is left."""
        hold.unseen = True
        missed = {half for half in range(int(2 * begin), int(2 * end)) if half >= 2 * hold.begun_at}
        if not missed <= hold.missed:
            hold.missed |= missed
            hold.asked, hold.number = False, next(NUMBERS)
            if hold.counts_from >= now:
                return False
        return self.open_throughout(hold.begun_at, end)

    # --- hours

    def closed(self, at: float) -> str | None:
        written, hours = self.written, self.symbol.hours
        if "expires" in written and at >= datetime.fromisoformat(written["expires"]).timestamp():
            return "expired"
        session = written.get("session", "any")
        if session != "any":
            if hours is None:
                return "market_hours_unknown"
            if hours.is_open(at) != (session == "regular"):
                return "session"
        if "active" in written:
            clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
            if not written["active"]["from"] <= clock < written["active"]["to"]:
                return "inactive"
        return None

    def open_throughout(self, begin: float, end: float) -> bool:
        """At every half second: nothing opens or closes in between."""
        return all(self.closed(begin + half / 2) is None for half in range(int(2 * (end - begin)) + 1))

    def after_gap(self, tick: Tick) -> bool:
        if tick.gap or tick.before is None:
            return tick.gap
        begins = self.symbol.hours is not None and tick.at // 200 * 200 > tick.before
        return begins or not self.open_throughout(tick.before, tick.at)

    # --- blindness

    def review(self, at: float | None) -> list[Told]:
        before, lacks = self.blind, [cond.lack for cond in self.conditions if not cond.done]
        unknown = [lack for lack in lacks if lack in ("open_unknown", "close_unknown", "market_hours_unknown")]
        self.blind = next(iter(unknown), None)
        if self.shut == "market_hours_unknown":
            self.blind = self.shut
        if self.symbol.stale:
            self.blind = "stale"
        if at is not None and self.closed(at) == "expired":
            self.shut = "expired"
        over = self.done or self.shut == "expired"
        if over:
            self.blind = None
        if (before is None) == (self.blind is None) or self.written.get("on_blind") != "notify" or at is None or over:
            return []
        event = "alert.sighted" if self.blind is None else "alert.blind"
        return [(event, self.name, self.blind or before or "", at, False, False)]


def fresh(written: dict[str, Any]) -> list[Condition]:
    parts = [Part(kind, written) for kind in KINDS if kind in written]
    if written.get("when") == "all":
        return [Condition(parts)]
    return [Condition([part]) for part in parts]
