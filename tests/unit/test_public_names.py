"""The library is what the contract says: every name, every signature, each documented and annotated."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pricestreamd
from pricestreamd import EventDispatcher, PriceStreamService, WebSocketClient, WebSocketInterface
from pricestreamd.model.events import EVENTS

PACKAGE = str(Path(pricestreamd.__file__).parent)
PAGE = Path(__file__).parents[2] / "docs" / "library.md"

SOURCE_OF_TICKS = {
    "connect": "async () -> None",
    "disconnect": "async () -> None",
    "is_connected": "property -> bool",
    "subscribe": "async (symbols) -> None",
    "unsubscribe": "async (symbols) -> None",
    "get_subscriptions": "() -> list[str]",
    "listen": "async (timeout=None) -> None",
    "send": "async (message) -> None",
    "on_message": "(callback) -> None",
    "on_connection": "(callback) -> None",
    "on_error": "(callback) -> None",
    "get_stats": "() -> ClientStats",
    "set_reconnection_strategy": "(config=None, **settings) -> None",
    "set_heartbeat": "(enabled, interval=30.0) -> None",
}

CONTRACT = {
    "EventDispatcher": {
        "on": "(event, listener=None, *, priority=0) -> ListenerId | Callable[[_F], _F]",
        "once": "(event, listener=None, *, priority=0) -> ListenerId | Callable[[_F], _F]",
        "off": "(listener) -> bool",
        "remove_all_listeners": "(event) -> None",
        "clear": "() -> None",
        "dispatch": "(event, data=None) -> None",
        "chain": "(event) -> Chain",
        "get_stats": "() -> DispatcherStats",
        "aclose": "async (timeout=5.0) -> int",
        "__aenter__": "async () -> EventDispatcher",
        "__aexit__": "async (*exc_info) -> None",
    },
    "Chain": {
        "then": "(step) -> Chain",
        "catch": "(handler) -> Chain",
        "execute": "(*, priority=0) -> ListenerId",
    },
    "PriceStreamService": {
        "start": "async (symbols) -> None",
        "run": "async (symbols) -> None",
        "stop": "async () -> None",
        "subscribe": "async (symbols) -> None",
        "unsubscribe": "async (symbols) -> None",
        "set_min_change_percent": "(percent) -> None",
        "set_history_tracking": "(enabled, size=1000) -> None",
        "set_alert": "(symbol, conditions=None, /, **more) -> str",
        "clear_alerts": "(symbol) -> None",
        "get_history": "(symbol, limit=None) -> list[HistoryEntry]",
        "get_last_price": "(symbol) -> float | None",
        "get_all_prices": "() -> dict[str, float]",
        "is_running": "property -> bool",
        "get_stats": "() -> StreamStats",
    },
    "WebSocketInterface": SOURCE_OF_TICKS,
    "WebSocketClient": SOURCE_OF_TICKS
    | {
        "__aenter__": "async () -> Self",
        "__aexit__": "async (kind, exc, trace) -> None",
        "__aiter__": "async () -> AsyncIterator[Tick]",
    },
    "Event": {
        "id": "property -> str",
        "__getitem__": "(key) -> Any",
        "to_dict": "() -> dict[str, Any]",
    },
}

CONSTRUCTORS = {
    "PriceStreamService": ("client", "dispatcher", "settings"),
    "WebSocketClient": ("provider", "api_key", "endpoint", "timeout"),
}

STATISTICS = {
    "DispatcherStats": "total_dispatches total_listeners events_registered event_counts most_dispatched",
    "StreamStats": "running uptime updates_received changes_detected alerts_triggered symbols_tracked alerts_active "
    "updates_per_second websocket_stats",
    "ClientStats": "connected uptime messages_received messages_sent reconnections subscriptions subscribed_symbols "
    "heartbeat_enabled last_heartbeat last_error",
    "HistoryEntry": "timestamp price volume",
}

NOT_BUILT = {"price.bar", "portfolio.update"}
EVENT_NAMES = {
    *("price.update", "price.change", "price.spike", "price.alert", "price.stale", "price.resumed", "price.gap"),
    *("price.error", "feed.connected", "feed.disconnected", "feed.reconnecting", "alert.blind", "alert.sighted"),
}

ERRORS = {
    "ConfigError": "PriceStreamError",
    "FeedError": "PriceStreamError",
    "TransportError": "FeedError",
    "HandshakeRejected": "FeedError",
    "ProtocolError": "FeedError",
    "SubscriptionRejected": "FeedError",
    "AuthenticationFailed": "FeedError",
    "SinkError": "PriceStreamError",
    "StateError": "PriceStreamError",
    "AlertError": "PriceStreamError",
}


def function_of(member: object) -> Any:
    """The function behind a method or a property; None of what is neither."""
    if isinstance(member, property):
        member = member.fget
    elif isinstance(member, classmethod | staticmethod):
        member = member.__func__
    return member if inspect.isfunction(member) else None


def shape(cls: type, name: str) -> str:
    """How a member is used: its kind, its parameters without their types, and what it returns."""
    member = inspect.getattr_static(cls, name)
    function = function_of(member)
    signature = inspect.signature(function)
    returned = str(signature.return_annotation)
    if isinstance(member, property):
        return f"property -> {returned}"
    given = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    waits = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    parameters = signature.replace(parameters=given, return_annotation=inspect.Signature.empty)
    return f"{'async ' if waits else ''}{parameters} -> {returned}"


def members() -> Iterator[tuple[str, str, Any]]:
    """(class, name, function) of every method and property of the public classes that is written by hand."""
    for public in pricestreamd.__all__:
        for kind in getattr(pricestreamd, public).__mro__:
            if kind.__module__.startswith("pricestreamd."):
                for name, member in vars(kind).items():
                    function = function_of(member)
                    # What dataclasses and msgspec generate is in no file of ours.
                    if function is not None and function.__code__.co_filename.startswith(PACKAGE):
                        yield public, name, function


@pytest.mark.parametrize("public", CONTRACT)
def test_the_library_has_every_method_of_the_contract_with_its_signature(public: str) -> None:
    cls = getattr(pricestreamd, public)
    assert {name: shape(cls, name) for name in CONTRACT[public]} == CONTRACT[public]


@pytest.mark.parametrize("public", CONSTRUCTORS)
def test_constructors_begin_with_the_parameters_of_the_contract(public: str) -> None:
    parameters = list(inspect.signature(getattr(pricestreamd, public)).parameters.values())
    promised = CONSTRUCTORS[public]
    assert tuple(parameter.name for parameter in parameters[: len(promised)]) == promised
    # Whatever else there is need not be given.
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters[len(promised) :])
    assert EventDispatcher().get_stats()["total_dispatches"] == 0


def test_a_client_of_the_contract_may_stand_wherever_a_source_of_ticks_is_asked_for() -> None:
    source: WebSocketInterface = WebSocketClient("twelvedata", api_key="any")
    assert PriceStreamService(source, EventDispatcher()).is_running is False
    public = {name for name in vars(WebSocketInterface) if not name.startswith("_")}
    assert public == set(SOURCE_OF_TICKS)


@pytest.mark.parametrize("public", STATISTICS)
def test_statistics_have_the_keys_of_the_contract(public: str) -> None:
    assert list(getattr(pricestreamd, public).__annotations__) == STATISTICS[public].split()


def test_every_event_that_is_made_is_a_public_record() -> None:
    assert {kind.event for kind in EVENTS} == EVENT_NAMES
    assert not EVENT_NAMES & NOT_BUILT
    for kind in EVENTS:
        assert getattr(pricestreamd, kind.__name__) is kind
        assert issubclass(kind, pricestreamd.Event)


def test_errors_are_one_family() -> None:
    public = [name for name in pricestreamd.__all__ if issubclass(getattr(pricestreamd, name), BaseException)]
    assert sorted(public) == sorted([*ERRORS, "PriceStreamError"])
    for name, parent in ERRORS.items():
        assert issubclass(getattr(pricestreamd, name), getattr(pricestreamd, parent))


def test_every_public_name_is_documented_where_it_is_written() -> None:
    undocumented = [name for name in pricestreamd.__all__ if not vars(getattr(pricestreamd, name)).get("__doc__")]
    assert undocumented == []


def test_every_public_method_is_documented() -> None:
    public = [(cls, name, function) for cls, name, function in members() if not name.startswith("_")]
    assert len(public) > 80
    assert [f"{cls}.{name}" for cls, name, function in public if not function.__doc__] == []


def test_every_method_is_fully_annotated() -> None:
    missing = []
    for cls, name, function in members():
        signature = inspect.signature(function)
        if signature.return_annotation is inspect.Signature.empty:
            missing.append(f"{cls}.{name}: what it returns")
        missing += [
            f"{cls}.{name}: {parameter.name}"
            for parameter in signature.parameters.values()
            if parameter.name not in ("self", "cls") and parameter.annotation is inspect.Parameter.empty
        ]
    assert missing == []


def test_every_public_name_is_there_and_listed() -> None:
    for name in pricestreamd.__all__:
        assert getattr(pricestreamd, name).__name__ == name
    assert sorted(pricestreamd.__all__) == pricestreamd.__all__
    assert set(pricestreamd.__all__) <= set(dir(pricestreamd))
    assert set(pricestreamd._HOME_OF) == set(pricestreamd.__all__)
    unknown = "nosuch"
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        getattr(pricestreamd, unknown)


def test_the_library_page_names_every_method_of_the_contract_and_none_that_is_not() -> None:
    text = PAGE.read_text()
    parts = {"client": WebSocketClient, "stream": PriceStreamService, "dispatcher": EventDispatcher}
    for part, name in re.findall(r"\b(client|stream|dispatcher)\.([a-z]\w+)", text):
        assert hasattr(parts[part], name), f"{part}.{name}"
    for public, methods in CONTRACT.items():
        unnamed = [name for name in methods if not name.startswith("__") and not re.search(rf"\b{name}\b", text)]
        assert not unnamed, f"{public}: {unnamed}"


def test_a_program_pays_only_for_the_names_that_it_uses() -> None:
    program = (
        "import sys, pricestreamd\n"
        "pricestreamd.EventDispatcher\n"
        "assert 'pricestreamd.dispatch.dispatcher' in sys.modules\n"
        "print(*(name for name in ('aiohttp', 'pricestreamd.stream.service') if name in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
