"""The dispatcher against a naive model of it: any history of registering, leaving and dispatching."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import ListenerId
from pricestreamd.model.events import Event, Run

NAMES = ("price.update", "price.alert", "feed.connected", "price.error")
PATTERNS = (*NAMES, "price.*", "feed.*", "*")
# What a listener does besides noting what it hears.
HABITS = ("nothing", "raises", "leaves", "brings a friend", "dispatches", "clears")

patterns = st.sampled_from(PATTERNS)
habits = st.sampled_from(HABITS)
priorities = st.integers(-1, 1)
names = st.sampled_from(NAMES)


@dataclass(eq=False)
class Known:
    """A registration, as the model knows it. One function, known by its `key`, may be registered several times."""

    key: str
    pattern: str
    priority: int = 0
    habit: str = "nothing"
    once: bool = False
    attached: bool = False
    waits: bool = False
    failures: int = 0

    def matches(self, name: str) -> bool:
        if self.pattern == "*":
            return True
        if self.pattern.endswith(".*"):
            return name.split(".", maxsplit=1)[0] == self.pattern.split(".")[0]
        return name == self.pattern


@dataclass
class Model:
    """The rules in slow words: a list in order of registration, sorted at every event."""

    known: list[Known] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[Known, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    telling: bool = False

    def remove(self, unwanted: Callable[[Known], bool]) -> bool:
        before = len(self.known)
        self.known = [known for known in self.known if not unwanted(known)]
        return len(self.known) < before

    def dispatch(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        for known in sorted((known for known in self.known if known.matches(name)), key=lambda known: -known.priority):
            if known.once:
                if known not in self.known:
                    continue
                self.known.remove(known)
            if known.waits:
                self.waiting.append((known, name))
            elif known.failures < 100:
                self.call(known, name)

    def call(self, known: Known, name: str) -> None:
        self.notes.append((known.key, name))
        match known.habit:
            case "leaves":
                self.remove(lambda other: other.key == known.key)
            case "clears":
                self.remove(lambda other: not other.attached)
            case "brings a friend":
                self.known.append(Known("friend", "price.*"))
            case "dispatches" if name == "price.update":
                self.dispatch("feed.connected")
            case "raises":
                known.failures += 1
                if name != "price.error" and not self.telling:
                    self.telling = True
                    self.dispatch("price.error")
                    self.telling = False


class DispatcherMachine(RuleBasedStateMachine):
    """Does the same to the dispatcher and to the model, and compares."""

    registered = Bundle("registered")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.dispatcher = EventDispatcher(Run("run"))
        self.model = Model()
        self.notes: list[tuple[str, str]] = []
        self.handed: list[tuple[str, str]] = []
        self.keys = 0
        self.dispatcher.attach("*", self.function("sink", "nothing"), name="sink", priority=-2)
        self.model.known.append(Known("sink", "*", -2, attached=True))

    def teardown(self) -> None:
        self.drain()
        self.loop.close()

    def function(self, key: str, habit: str) -> Callable[[Event], None]:
        def listener(event: Event) -> None:
            self.notes.append((key, event.event))
            match habit:
                case "leaves":
                    self.dispatcher.off(listener)
                case "clears":
                    self.dispatcher.clear()
                case "brings a friend":
                    self.dispatcher.on("price.*", self.function("friend", "nothing"))
                case "dispatches" if event.event == "price.update":
                    self.dispatcher.dispatch("feed.connected")
                case "raises":
                    raise ValueError(key)

        return listener

    def new_key(self) -> str:
        self.keys += 1
        return f"listener {self.keys}"

    @rule(target=registered, pattern=patterns, priority=priorities, habit=habits, once=st.booleans())
    def register(self, pattern: str, priority: int, habit: str, once: bool) -> Any:
        known = Known(self.new_key(), pattern, priority, habit, once=once)
        function = self.function(known.key, habit)
        register = self.dispatcher.once if once else self.dispatcher.on
        self.model.known.append(known)
        return known, function, register(pattern, function, priority=priority)

    @rule(target=registered, pattern=patterns, priority=priorities, once=st.booleans())
    def register_one_that_waits(self, pattern: str, priority: int, once: bool) -> Any:
        known = Known(self.new_key(), pattern, priority, once=once, waits=True)

        async def function(event: Event) -> None:
            self.handed.append((known.key, event.event))

        register = self.dispatcher.once if once else self.dispatcher.on
        self.model.known.append(known)
        return known, function, register(pattern, function, priority=priority)

    @rule(target=registered, one=registered, pattern=patterns)
    def register_a_function_again(self, one: Any, pattern: str) -> Any:
        old, function, _ = one
        known = Known(old.key, pattern, habit=old.habit, waits=old.waits)
        self.model.known.append(known)
        return known, function, self.dispatcher.on(pattern, function)

    @rule(one=registered)
    def off_by_id(self, one: tuple[Known, Any, ListenerId]) -> None:
        known, _, listener_id = one
        assert self.dispatcher.off(listener_id) is self.model.remove(lambda other: other is known)

    @rule(one=registered)
    def off_by_function(self, one: tuple[Known, Any, ListenerId]) -> None:
        known, function, _ = one
        assert self.dispatcher.off(function) is self.model.remove(lambda other: other.key == known.key)

    @rule(pattern=patterns)
    def remove_all_listeners(self, pattern: str) -> None:
        self.dispatcher.remove_all_listeners(pattern)
        self.model.remove(lambda other: other.pattern == pattern and not other.attached)

    @rule()
    def clear(self) -> None:
        self.dispatcher.clear()
        self.model.remove(lambda other: not other.attached)

    @rule(name=names)
    def dispatch(self, name: str) -> None:
        self.dispatcher.dispatch(name)
        self.model.dispatch(name)

    @rule()
    def drain(self) -> None:
        assert self.loop.run_until_complete(self.dispatcher.aclose()) == 0
        # Workers take turns; each keeps its own order.
        for known in {known for known, _ in self.model.waiting}:
            expected = [name for other, name in self.model.waiting if other.key == known.key]
            assert sorted(name for key, name in self.handed if key == known.key) == sorted(expected)
            if sum(other.key == known.key for other in self.registrations_that_wait()) == 1:
                assert [name for key, name in self.handed if key == known.key] == expected
        assert len(self.handed) == len(self.model.waiting)
        self.handed.clear()
        self.model.waiting.clear()

    def registrations_that_wait(self) -> set[Known]:
        return {known for known, _ in self.model.waiting}

    @invariant()
    def the_same_was_heard_in_the_same_order(self) -> None:
        assert self.notes == self.model.notes

    @invariant()
    def the_same_is_known_and_counted(self) -> None:
        stats = self.dispatcher.get_stats()
        assert stats["total_listeners"] == len(self.model.known)
        assert stats["events_registered"] == len({known.pattern for known in self.model.known})
        assert stats["event_counts"] == self.model.counts
        for name in NAMES:
            assert self.dispatcher.heard(name) is any(known.matches(name) for known in self.model.known)


DispatcherMachine.TestCase.settings = settings(max_examples=500, stateful_step_count=40)
TestDispatcher = DispatcherMachine.TestCase
