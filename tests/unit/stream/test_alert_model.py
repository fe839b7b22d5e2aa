"""The alert engine against a naive model of it: any history of ticks, alerts, restarts, reloads, gaps and clock jumps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pricestreamd.model.events import Event, PriceAlert, PriceResumed, PriceStale, to_json
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.record import AlertRecord
from tests.unit.stream.naive_alerts import Hours, Symbol, Tick, Told
from tests.unit.stream.ticking import PLAIN, Stream

# 2026-03-02 12:00:00 UTC, when a session begins, less a little.
BEGIN = 1_772_452_800.0 - 20.0
SYMBOLS = ("AAPL", "BTC/USD")
HOURS = {"AAPL": Hours(), "BTC/USD": None}
NAMES = st.sampled_from("abc")
WORDS = {"price_above": "above", "price_below": "below", "trailing": "trailing_percent"}

# Few thresholds, so that prices meet them; some that no double hits, some close to each other.
THRESHOLDS = (99.0, 99.99, 100.35, math.nextafter(100.35, math.inf), 102.0)
thresholds = st.sampled_from(THRESHOLDS)
percents = st.sampled_from([0.35, 1.0, 2.0])
prices = (
    st.sampled_from([near for t in THRESHOLDS for near in (math.nextafter(t, 0.0), t, math.nextafter(t, math.inf))])
    | st.sampled_from([97.0, 98.0, 98.703, 99.6, 100.0, 100.652, 101.0, 101.5, 103.0, 104.0])
    | st.floats(95.0, 106.0)
)
# Half seconds are exact, so that no deadline hangs on a rounding.
PAUSES = (0.0, 0.5, 1.0, 2.5, 7.0, 30.0, 61.0)
pauses = st.sampled_from(PAUSES)
NAPS = (15.0, 100.0, 1000.0)
VOLUMES = (None, 10.0, 50.0, 60.0)


def clock(at: float) -> str:
    return f"12:{int(at) // 60 % 60:02d}:{int(at) % 60:02d}"


WITH_HOURS = {"active": {"from": clock(40), "to": clock(700)}}


@st.composite
def alerts(draw: st.DrawFn) -> dict[str, Any]:
    """An alert as a person writes it: one or more conditions, and few of the many modifiers."""
    conditions: dict[str, st.SearchStrategy[Any]] = {
        "above": thresholds,
        "below": thresholds,
        "change_percent": percents,
        "trailing_percent": st.sampled_from([0.5, 1.0, -0.5, -2.0]),
        "day_volume_above": st.just(50.0),
    }
    modifiers: dict[str, st.SearchStrategy[Any]] = {
        "hysteresis": st.sampled_from([0.1, 0.3]),
        "when": st.just("all"),
        "trigger": st.just("every_update"),
        "on_start": st.just("require_cross"),
        "once": st.just(True),
        "cooldown": st.sampled_from([1.0, 10.0, 100.0]),
        "for": st.sampled_from([0.5, 3.0, 40.0, 150.0]),
        "session": st.sampled_from(["regular", "extended"]),
        "on_blind": st.just("notify"),
    }
    kinds = draw(st.lists(st.sampled_from(sorted(conditions)), min_size=1, max_size=3, unique=True))
    chosen = draw(st.lists(st.sampled_from([*sorted(modifiers), "active", "expires"]), max_size=4, unique=True))
    written = {kind: draw(conditions[kind]) for kind in kinds}
    if "change_percent" in kinds:
        written["baseline"] = draw(st.sampled_from(["armed", "previous", "open", "close", 5.0, 60.0]))
    for key in chosen:
        if key == "active":
            begin = draw(st.sampled_from([0, 40, 130]))
            written[key] = {"from": clock(begin), "to": clock(begin + 100)}
        elif key == "expires":
            written[key] = f"2026-03-02T{clock(draw(st.sampled_from([60, 150, 400])))}Z"
        elif key != "when" or len(kinds) > 1:
            written[key] = draw(modifiers[key])
    return written


class Step(NamedTuple):
    """A tick so much later than the one before."""

    pause: float
    price: float
    volume: float | None
    feed: str
    late: bool


steps = st.builds(
    Step,
    pauses,
    prices,
    st.sampled_from(VOLUMES),
    st.sampled_from(["us", "us", "us", "spare"]),
    st.sampled_from([False, False, False, True]),
)


def a_step(dice: random.Random) -> Step:
    near = dice.choice([-1, 0, 1])
    threshold = dice.choice(THRESHOLDS)
    price = dice.choice([threshold, threshold + near, dice.uniform(95.0, 106.0), math.nextafter(threshold, near * 1e9)])
    feed = "spare" if dice.random() < 0.05 else "us"
    return Step(dice.choice(PAUSES), price, dice.choice(VOLUMES), feed, dice.random() < 0.05)


class World:
    """The engine, and what a daemon does around it: it keeps what changes, and gives it to the next process.

    `at` is the true time; the wall clock is `jumped` away from it, and each process has its own clock of timers.
    """

    def __init__(self) -> None:
        self.at = BEGIN
        self.jumped = 0.0
        self.processes = 0
        self.rules: dict[str, AlertRule] = {}
        self.tracked = ["AAPL"]
        self.kept: dict[tuple[str, str], AlertRecord] = {}
        self.begin()

    def begin(self) -> None:
        self.processes += 1
        self.zero = self.at - 1000.0 * self.processes
        self.stream = Stream("NONE", since=self.now, hours_of=HOURS.get, **PLAIN)
        self.look_at_the_clock()
        self.stream.board.track(self.tracked)

    @property
    def now(self) -> float:
        return self.at - self.zero

    def look_at_the_clock(self) -> None:
        self.stream.now, self.stream.wall = self.now, self.at + self.jumped

    def keep(self) -> None:
        changes = self.stream.engine.alerts.take_changes()
        self.kept.update(((record.alert_id, record.symbol), record) for record in changes.records)
        for place in changes.gone:
            self.kept.pop(place, None)

    def all_records(self) -> dict[tuple[str, str], AlertRecord]:
        books = self.stream.board._books.values()
        records = [alert.to_record() for book in books for alert in book.alerts.values()]
        return {(record.alert_id, record.symbol): record for record in records}

    # --- what happens

    def pass_time(self, seconds: float) -> list[Event]:
        self.at += seconds
        self.look_at_the_clock()
        return self.stream.pass_time(self.now)

    def tick(self, symbol: str, step: Step) -> list[Event]:
        more = {"volume": step.volume, "feed": step.feed, "late": step.late}
        return self.stream.tick(
            step.price, self.now, symbol, timestamp=self.at, received_at=self.at + self.jumped, **more
        )

    def jump(self, seconds: float) -> list[Event]:
        self.jumped += seconds
        self.look_at_the_clock()
        self.kept = self.all_records()
        return []

    def set_alert(self, name: str, symbols: tuple[str, ...], written: dict[str, Any], *, revive: bool) -> list[Event]:
        self.rules[name] = rule_of(name, symbols, written)
        self.stream.board.set_alert(self.rules[name], revive=revive)
        return []

    def remove_alert(self, name: str) -> list[Event]:
        assert self.stream.board.remove_alert(name) is (self.rules.pop(name, None) is not None)
        return []

    def rearm(self, name: str, symbol: str | None) -> list[Event]:
        self.stream.board.rearm(name, symbol)
        return []

    def reload(self) -> list[Event]:
        for one in self.rules.values():
            self.stream.board.set_alert(one, revive=False)
        return []

    def come_or_go(self, symbol: str) -> list[Event]:
        if symbol in self.tracked:
            self.tracked.remove(symbol)
            self.stream.board.untrack([symbol])
        else:
            self.tracked.append(symbol)
            self.stream.board.track([symbol])
        return []

    def miss(self, symbol: str, since: float) -> list[Event]:
        self.stream.board.mark_gap([symbol], since, self.at)
        return []

    def sleep(self, seconds: float, *, suspended: bool) -> list[Event]:
        """Nothing turns for so long. `suspended`: the clock of timers stands still meanwhile."""
        since, before, board = self.at, len(self.stream.events), self.stream.board
        self.at += seconds
        self.zero += seconds if suspended else 0.0
        self.look_at_the_clock()
        # By the wall clock what is kept is of another time now.
        self.kept = self.all_records() if suspended else self.kept
        board.mark_gap(list(board.by_symbol), since, self.at)
        self.stream.engine.on_time(self.now)
        return self.stream.events[before:]

    def silence(self, symbol: str, *, stale: bool) -> list[Event]:
        alerts, before = self.stream.engine.alerts, len(self.stream.events)
        if stale:
            alerts.on_stale(PriceStale("run", 1, self.at, symbol, "us", 1.0))
        else:
            alerts.on_resumed(PriceResumed("run", 1, self.at, symbol, "us", 1.0))
        return self.stream.events[before:]

    def restart(self, pause: float, jump: float, *, with_prices: bool, track_last: bool) -> list[Event]:
        self.keep()
        # Whatever differs from what was kept last was told of as a change.
        assert self.kept == self.all_records()
        lasts = [state.tick for state in self.stream.board.prices() if state.tick is not None]
        self.at += pause
        self.jumped += jump
        tracked = self.tracked
        if track_last:
            self.tracked = []
        self.begin()
        if not track_last:
            self.restore(lasts if with_prices else [])
        else:
            self.restore(lasts if with_prices else [])
            self.tracked = tracked
            self.stream.board.track(tracked)
        return []

    def restore(self, lasts: Iterable[Any]) -> None:
        board = self.stream.board
        for one in self.rules.values():
            board.set_alert(one)
        board.restore(self.kept.values())
        for last in lasts:
            fields = (last.price, last.timestamp, last.received_at, last.volume, last.currency, last.feed)
            board.restore_price(last.symbol, *fields)


def rule_of(name: str, symbols: tuple[str, ...], written: dict[str, Any]) -> AlertRule:
    """As `set_alert` makes it, for several symbols."""
    one = AlertRule.from_mapping(symbols[0], {**written, "name": name})
    return replace(one, patterns=tuple(symbols))


def told(events: Iterable[Event]) -> list[Told]:
    found: list[Told] = []
    for event in events:
        if isinstance(event, PriceAlert):
            kinds = [part.rpartition("_")[0] for part in event.alert_reason.split("+")]
            name = "+".join(WORDS.get(kind, kind) for kind in kinds)
            found.append((event.event, event.alert_id, name, event.timestamp, event.late, event.after_gap))
        elif event.event.startswith("alert."):
            found.append((event.event, event["alert_id"], event["reason"], event.timestamp, False, False))
    return found


def in_order(events: Iterable[Told]) -> list[Told]:
    """Firings have an order, those who see and those who do not have none."""
    return sorted(events, key=lambda one: () if one[0] == "price.alert" else one)


class AlertMachine(RuleBasedStateMachine):
    """Does the same to the engine and to the model, and compares what they tell."""

    @initialize(pool=st.lists(alerts(), min_size=3, max_size=6))
    def begin(self, pool: list[dict[str, Any]]) -> None:
        self.world = World()
        self.history: list[Callable[[World], list[Event]]] = []
        self.events: list[Event] = []
        self.symbols = {symbol: Symbol(HOURS[symbol]) for symbol in SYMBOLS}
        self.symbols["AAPL"].track(BEGIN)
        self.written: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {}
        self.firing_ids: set[str] = set()
        # One that holds through much of what happens: few of them would, of those that are drawn.
        self.pool = [*pool, {"above": 98.0, "for": 20.0}, {"below": 101.5, "for": 150.0, **WITH_HOURS}]
        for name, written in zip("abc", reversed(self.pool), strict=False):
            self.set_alert(name, SYMBOLS, written, revive=True)

    def do(self, act: Callable[[World], list[Event]]) -> list[Told]:
        self.history.append(act)
        events = act(self.world)
        self.events += events
        for event in events:
            if isinstance(event, PriceAlert):
                assert event.firing_id not in self.firing_ids
                self.firing_ids.add(event.firing_id)
        self.world.keep()
        return told(events)

    def teardown(self) -> None:
        again = World()
        events = []
        for act in self.history:
            events += act(again)
            again.keep()
        assert [to_json(event) for event in events] == [to_json(event) for event in self.events]

    # --- time and ticks

    def let_time_pass(self, seconds: float) -> None:
        found = self.do(lambda world: world.pass_time(seconds))
        expected: list[Told] = []
        for alert, cond, due in self.deadlines():
            expected += alert.reach(cond, due)
        assert sorted(found) == sorted(expected)

    def deadlines(self) -> list[Any]:
        """Alert, condition and time of all that is due by now, the earliest first."""
        found = [
            (cond.hold.counts_from + alert.for_, cond.hold.number, alert, cond)
            for symbol in self.symbols.values()
            for alert in symbol.alerts.values()
            for cond in alert.conditions
            if cond.hold is not None and not cond.hold.asked and cond.hold.counts_from + alert.for_ <= self.world.now
        ]
        return [(alert, cond, due) for due, _, alert, cond in sorted(found, key=lambda one: one[:2])]

    @rule(symbol=st.sampled_from(["AAPL", "AAPL", "AAPL", "BTC/USD"]), path=st.lists(steps, min_size=1, max_size=5))
    def ticks(self, symbol: str, path: list[Step]) -> None:
        for step in path:
            self.let_time_pass(step.pause)
            found = self.do(lambda world, step=step: world.tick(symbol, step))  # type: ignore[misc]
            expected: list[Told] = []
            if self.symbols[symbol].tracked:
                world = self.world
                tick = Tick(step.price, world.at, world.now, world.at + world.jumped, step.volume, step.feed, step.late)
                expected = self.symbols[symbol].take(tick)
            assert in_order(found) == in_order(expected)

    @rule(seed=st.integers(0, 2**32), length=st.sampled_from([10, 60, 150]))
    def much_happens(self, seed: int, length: int) -> None:
        """Many ticks, and something of everything else, for two drawn numbers."""
        dice = random.Random(seed)
        for _ in range(length):
            symbol, name, written = dice.choice(SYMBOLS), dice.choice("abc"), dice.choice(self.pool)
            act = dice.randrange(40)
            if act < 4:
                names = dice.choice([("AAPL",), SYMBOLS, ("*",)])
                self.set_alert(name, names, written, revive=dice.random() < 0.5)
            elif act < 7:
                self.edit_what_is_around_the_conditions(name, written, dice.random() < 0.3)
            elif act < 10:
                self.reload()
            elif act < 13:
                self.restart(
                    dice.choice(PAUSES), dice.choice([0.0, 0.0, 3600.0, -3600.0]), *dice.choices([True, False], k=2)
                )
            elif act < 14:
                self.symbol_comes_or_goes(symbol) if dice.random() < 0.5 else self.remove_alert(name)
            elif act < 21:
                self.something_is_not_seen(dice)
            else:
                self.ticks(dice.choice(["AAPL", "AAPL", "AAPL", symbol]), [a_step(dice)])

    def something_is_not_seen(self, dice: random.Random) -> None:
        what: list[Callable[[], None]] = [
            lambda: self.silence("AAPL", dice.random() < 0.7),
            lambda: self.prices_are_missed(dice.choice(PAUSES), dice.choice(PAUSES)),
            lambda: self.nobody_is_awake(dice.choice(NAPS), dice.random() < 0.5),
            lambda: self.time(dice.choice([1.0, 40.0, 300.0])),
            lambda: self.the_clock_is_set(dice.choice([5.0, -5.0, 3600.0, -3600.0])),
        ]
        dice.choice(what)()

    @rule(seconds=st.sampled_from([1.0, 40.0, 300.0]))
    def time(self, seconds: float) -> None:
        self.let_time_pass(seconds)

    @rule(seconds=st.sampled_from([-3600.0, -5.0, 5.0, 3600.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        assert self.do(lambda world: world.jump(seconds)) == []

    # --- alerts

    @rule(
        name=NAMES,
        symbols=st.sampled_from([("AAPL",), ("AAPL",), ("BTC/USD",), SYMBOLS, ("*",)]),
        written=alerts(),
        revive=st.booleans(),
    )
    def set_alert(self, name: str, symbols: tuple[str, ...], written: dict[str, Any], revive: bool) -> None:
        assert self.do(lambda world: world.set_alert(name, symbols, written, revive=revive)) == []
        self.written[name] = symbols, written
        self.put_all([name], revive=revive)

    @rule(name=NAMES, written=alerts(), revive=st.booleans())
    def edit_what_is_around_the_conditions(self, name: str, written: dict[str, Any], revive: bool) -> None:
        """The conditions stay, the modifiers are others."""
        if name in self.written:
            symbols, before = self.written[name]
            conditions = {key: before[key] for key in before if key in KEPT}
            written = {key: written[key] for key in written if key not in KEPT} | conditions
            if len(conditions) == 1 + ("baseline" in conditions):
                written.pop("when", None)
            self.set_alert(name, symbols, written, revive)

    def put_all(self, names: Iterable[str], *, revive: bool) -> None:
        for name in names:
            symbols, written = self.written[name]
            for key, symbol in self.symbols.items():
                if key in symbols or "*" in symbols:
                    symbol.put(name, written, revive=revive)
                else:
                    symbol.remove(name)
        for symbol in self.symbols.values():
            symbol.alerts = {name: symbol.alerts[name] for name in self.written if name in symbol.alerts}

    @rule(name=NAMES)
    def remove_alert(self, name: str) -> None:
        assert self.do(lambda world: world.remove_alert(name)) == []
        self.written.pop(name, None)
        for symbol in self.symbols.values():
            symbol.remove(name)

    @rule(name=NAMES, symbol=st.sampled_from([*SYMBOLS, None]))
    def rearm(self, name: str, symbol: str | None) -> None:
        assert self.do(lambda world: world.rearm(name, symbol)) == []
        for key, one in self.symbols.items():
            if name in one.alerts and symbol in (None, key):
                one.alerts[name].rearm(one.ticks[-1].price if one.ticks else None)

    @rule()
    def reload(self) -> None:
        assert self.do(lambda world: world.reload()) == []
        self.put_all(self.written, revive=False)

    # --- symbols, feeds and processes

    @rule(symbol=st.sampled_from(SYMBOLS))
    def symbol_comes_or_goes(self, symbol: str) -> None:
        assert self.do(lambda world: world.come_or_go(symbol)) == []
        one = self.symbols[symbol]
        if one.tracked:
            one.leave()
        else:
            one.track(self.world.at + self.world.jumped)

    @rule(pause=pauses, ago=pauses)
    def prices_are_missed(self, pause: float, ago: float) -> None:
        """They have been for so long, or since the last one."""
        self.let_time_pass(pause)
        symbol = self.symbols["AAPL"]
        if symbol.ticks:
            since = max(symbol.ticks[-1].at, self.world.at - ago)
            self.do(lambda world: world.miss("AAPL", since))
            symbol.miss(since, self.world.at, self.world.now)

    @rule(seconds=st.sampled_from(NAPS), suspended=st.booleans())
    def nobody_is_awake(self, seconds: float, suspended: bool) -> None:
        since = self.world.at
        found = self.do(lambda world: world.sleep(seconds, suspended=suspended))
        for symbol in self.symbols.values():
            if symbol.tracked:
                symbol.miss(since, self.world.at, self.world.now)
        assert sorted(found) == sorted(told for alert, cond, due in self.deadlines() for told in alert.reach(cond, due))

    @rule(symbol=st.sampled_from(SYMBOLS), stale=st.booleans())
    def silence(self, symbol: str, stale: bool) -> None:
        found = self.do(lambda world: world.silence(symbol, stale=stale))
        one = self.symbols[symbol]
        assert in_order(found) == in_order(one.set_stale(self.world.at, stale=stale) if one.tracked else [])

    @rule(
        pause=pauses,
        jump=st.sampled_from([0.0, 0.0, 3600.0, -3600.0]),
        with_prices=st.booleans(),
        track_last=st.booleans(),
    )
    def restart(self, pause: float, jump: float, with_prices: bool, track_last: bool) -> None:
        before = self.world.now
        self.do(lambda world: world.restart(pause, jump, with_prices=with_prices, track_last=track_last))
        now = self.world.now

        def age(then: float) -> float:
            return now - max(0.0, before - then + pause + jump)

        for symbol in self.symbols.values():
            last = symbol.last if with_prices and symbol.tracked else None
            tracked = symbol.tracked
            symbol.restart(age, last)
            if tracked:
                symbol.tracked = False
                symbol.track(self.world.at + self.world.jumped)
                symbol.gap = symbol.gap or last is not None

    # --- what always holds

    @invariant()
    def who_is_done_is_known(self) -> None:
        board = self.world.stream.board
        for key, symbol in self.symbols.items():
            state = board.state(key)
            assert (state is not None) is symbol.tracked
            for name in "abc" if state is not None else "":
                assert state is not None
                alert, place = symbol.alerts.get(name), state.alerts.state_of(name)
                assert (place is None) is (alert is None)
                assert alert is None or (place == "done") is alert.done
        assert board.alerts_blind() == len(
            {name for symbol in self.symbols.values() for name, alert in symbol.alerts.items() if alert.blind}
        )


KEPT = ("above", "below", "change_percent", "trailing_percent", "day_volume_above", "baseline")

AlertMachine.TestCase.settings = settings(max_examples=500, stateful_step_count=20)
TestAlerts = AlertMachine.TestCase
