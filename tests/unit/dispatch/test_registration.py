"""Who hears what, in which order, and until when."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import ListenerId
from pricestreamd.model.events import Event
from tests.support.records import alert, error, update

Register = Callable[..., Any]


def recorder(heard: list[str], name: str) -> Callable[[Event], None]:
    def listener(_event: Event) -> None:
        heard.append(name)

    return listener


def test_higher_priority_is_called_first_and_ties_in_the_order_of_registration() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    for name, priority in [("a", 0), ("b", 10), ("c", -5), ("d", 10), ("e", 0), ("f", 1)]:
        dispatcher.on("price.update", recorder(heard, name), priority=priority)
    dispatcher.dispatch(update())
    assert heard == ["b", "d", "f", "a", "e", "c"]


def test_the_order_goes_across_names_families_and_the_wildcard() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    dispatcher.on("*", recorder(heard, "all"))
    dispatcher.on("price.update", recorder(heard, "name"))
    dispatcher.on("price.*", recorder(heard, "family"))
    dispatcher.on("*", recorder(heard, "first"), priority=1)
    dispatcher.dispatch(update())
    assert heard == ["first", "all", "name", "family"]


@given(st.lists(st.integers(-3, 3), max_size=12))
def test_any_priorities_give_the_order_of_a_stable_sort(priorities: list[int]) -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    for number, priority in enumerate(priorities):
        dispatcher.on("price.update", recorder(heard, str(number)), priority=priority)
    dispatcher.dispatch(update())
    assert heard == [str(n) for n in sorted(range(len(priorities)), key=lambda n: -priorities[n])]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("price.update", {"price.update"}),
        ("price.*", {"price.update", "price.alert", "price.error", "price.deep.er"}),
        ("price.deep.*", {"price.deep.er"}),
        ("*", {"price.update", "price.alert", "price.error", "price.deep.er", "pricey", "price", "feed.connected"}),
        ("price", {"price"}),
        ("other", set()),
    ],
)
def test_a_name_a_family_or_everything_is_heard(pattern: str, names: set[str]) -> None:
    dispatcher = EventDispatcher()
    heard = []
    dispatcher.on(pattern, lambda event: heard.append(event.event))
    for name in ("price.deep.er", "pricey", "price", "feed.connected"):
        dispatcher.dispatch(name)
    for event in (update(), alert(), error()):
        dispatcher.dispatch(event)
    assert set(heard) == names
    assert len(heard) == len(names)


def test_a_decorator_registers_and_returns_the_function() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()

    @dispatcher.on("price.update", priority=1)
    def first(event: Event) -> None:
        heard.append(f"first {event.id}")

    @dispatcher.once("price.update")
    def second(event: Event) -> None:
        heard.append(f"second {event.id}")

    dispatcher.dispatch(update(1))
    dispatcher.dispatch(update(2))
    assert heard == ["first run-1", "second run-1", "first run-2"]
    first(update(3))
    assert heard[-1] == "first run-3"
    assert dispatcher.off(first)


def test_off_removes_by_id_only_that_registration() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    listener = recorder(heard, "a")
    one = dispatcher.on("price.update", listener)
    other = dispatcher.on("price.update", listener)
    assert one != other
    assert dispatcher.off(one) is True
    assert dispatcher.off(one) is False
    dispatcher.dispatch(update())
    assert heard == ["a"]


def test_off_removes_by_function_all_its_registrations() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    listener = recorder(heard, "a")
    for pattern in ("price.update", "price.*", "*"):
        dispatcher.on(pattern, listener)
    dispatcher.on("*", recorder(heard, "b"))
    assert dispatcher.off(listener) is True
    assert dispatcher.off(listener) is False
    dispatcher.dispatch(update())
    assert heard == ["b"]


def test_off_knows_a_bound_method_again() -> None:
    class Portfolio:
        def __init__(self) -> None:
            self.heard = 0

        def update(self, _event: Event) -> None:
            self.heard += 1

    dispatcher, mine, yours = EventDispatcher(), Portfolio(), Portfolio()
    dispatcher.on("price.update", mine.update)
    dispatcher.on("price.update", yours.update)
    assert dispatcher.off(mine.update)
    dispatcher.dispatch(update())
    assert (mine.heard, yours.heard) == (0, 1)


def test_off_of_what_was_never_registered_is_false() -> None:
    dispatcher = EventDispatcher()
    dispatcher.on("price.update", print)
    assert dispatcher.off(ListenerId("price.update#99")) is False
    assert dispatcher.off(len) is False
    assert dispatcher.heard("price.update")


def test_remove_all_listeners_removes_those_of_exactly_that_name() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    for pattern in ("price.update", "price.update", "price.*", "*"):
        dispatcher.on(pattern, recorder(heard, pattern))
    dispatcher.remove_all_listeners("price.update")
    dispatcher.dispatch(update())
    assert heard == ["price.*", "*"]
    dispatcher.remove_all_listeners("*")
    dispatcher.remove_all_listeners("price.*")
    dispatcher.remove_all_listeners("never.registered")
    dispatcher.dispatch(update())
    assert heard == ["price.*", "*"]


def test_what_the_daemon_attached_stays_when_users_clear() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    own = dispatcher.attach("*", recorder(heard, "sink"), name="sink ticks", priority=-1)
    dispatcher.attach("price.update", recorder(heard, "board"), name="board")
    dispatcher.on("*", recorder(heard, "user"))
    dispatcher.clear()
    dispatcher.remove_all_listeners("*")
    dispatcher.remove_all_listeners("price.update")
    dispatcher.dispatch(update())
    assert heard == ["board", "sink"]
    assert dispatcher.off(own)
    dispatcher.dispatch(update())
    assert heard == ["board", "sink", "board"]


def test_what_the_daemon_attaches_may_leave_single_events_out() -> None:
    dispatcher, heard = EventDispatcher(), list[str]()
    dispatcher.attach("*", lambda event: heard.append(event.event), name="sink", excluding=["price.alert"])
    dispatcher.dispatch(alert())
    dispatcher.dispatch(update())
    assert heard == ["price.update"]
    assert not dispatcher.heard("price.alert")


def test_a_listener_is_known_by_its_name() -> None:
    class Portfolio:
        def __call__(self, _event: Event) -> None: ...

    dispatcher = EventDispatcher()
    dispatcher.attach("*", print, name="sink ticks")
    dispatcher.on("*", print)
    dispatcher.on("*", Portfolio())
    dispatcher.on("*", functools.partial(print, end=""))
    names = [listener.name for listener in dispatcher.listeners()]
    assert names[:2] == ["sink ticks", "builtins.print"]
    assert names[2].endswith("Portfolio")
    assert names[3] == "functools.partial"


@pytest.mark.parametrize("register", [EventDispatcher.on, EventDispatcher.once], ids=["on", "once"])
def test_what_is_no_listener_is_refused(register: Register) -> None:
    dispatcher = EventDispatcher()
    with pytest.raises(TypeError, match="a listener is a function, not str"):
        register(dispatcher, "price.update", "price.alert")
    with pytest.raises(TypeError, match=r"named by text.* not by function"):
        register(dispatcher, lambda event: None)
    assert dispatcher.listeners() == []


@pytest.mark.parametrize("register", [EventDispatcher.on, EventDispatcher.once], ids=["on", "once"])
@pytest.mark.parametrize("pattern", ["price*", "*.alert", "pr*ce.update", "price.*.x", "**", "*.*"])
def test_a_pattern_that_would_never_match_is_refused(register: Register, pattern: str) -> None:
    with pytest.raises(ValueError, match="is no event"):
        register(EventDispatcher(), pattern, print)


def test_heard_follows_every_change() -> None:
    dispatcher = EventDispatcher()
    assert not dispatcher.heard("price.change")
    one = dispatcher.on("price.*", print)
    assert dispatcher.heard("price.change")
    assert not dispatcher.heard("feed.connected")
    dispatcher.off(one)
    assert not dispatcher.heard("price.change")


def test_a_route_that_somebody_holds_follows_every_change() -> None:
    dispatcher = EventDispatcher()
    route = dispatcher.route("price.update")
    assert not route.listeners
    dispatcher.on("*", print)
    assert len(route.listeners) == 1
    assert dispatcher.route("price.update") is route
    dispatcher.clear()
    assert not route.listeners
