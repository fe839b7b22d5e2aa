"""Which events go to a sink."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import EVENTS, Event
from pricestreamd.sinks.filter import EventFilter
from tests.unit.sinks.samples import alert, connected, custom, error, gap, update


@pytest.mark.parametrize(
    ("globs", "admitted"),
    [
        (("*",), True),
        (("price.update",), True),
        (("price.*",), True),
        (("feed.*", "price.update"), True),
        (("price.change",), False),
        (("feed.*",), False),
        (("PRICE.UPDATE",), False),
        ((), False),
    ],
)
def test_an_event_goes_where_a_glob_matches_its_name(globs: tuple[str, ...], admitted: bool) -> None:
    assert EventFilter(globs).admits(update()) is admitted


@pytest.mark.parametrize(
    ("globs", "symbol", "admitted"),
    [
        (("AAPL",), "AAPL", True),
        (("aapl",), "AAPL", True),
        ((" AAPL ",), "aapl", True),
        (("BTC/*",), "BTC/USD", True),
        (("*/usd",), "BTC/USD", True),
        (("A?PL",), "AAPL", True),
        (("MSFT", "AAPL"), "AAPL", True),
        (("MSFT",), "AAPL", False),
        (("RY",), "RY:TSX", False),
    ],
)
def test_symbols_match_by_glob_in_any_case(globs: tuple[str, ...], symbol: str, admitted: bool) -> None:
    assert EventFilter(symbols=globs).admits(update(symbol=symbol)) is admitted


def test_an_event_without_a_symbol_concerns_all_symbols() -> None:
    only = EventFilter(symbols=["AAPL"])
    assert only.admits(connected())
    assert only.admits(error())
    assert not only.admits(error(symbol="MSFT"))


def test_a_gap_goes_where_one_of_its_symbols_goes() -> None:
    only = EventFilter(symbols=["AAPL"])
    assert only.admits(gap("MSFT", "AAPL"))
    assert not only.admits(gap("MSFT", "GOOGL"))
    assert not only.admits(gap("MSFT"))
    assert only.admits(gap())


def test_an_event_of_ones_own_has_the_symbol_that_its_data_name() -> None:
    only = EventFilter(symbols=["AAPL"])
    assert only.admits(custom(symbol="aapl"))
    assert not only.admits(custom(symbol="MSFT"))
    assert only.admits(custom(symbol=12))
    assert only.admits(custom())


@pytest.mark.parametrize(
    ("least", "admitted"),
    [("info", ["info", "warning", "critical"]), ("warning", ["warning", "critical"]), ("critical", ["critical"])],
)
def test_errors_below_the_least_severity_are_left_out_and_other_events_are_not(least: str, admitted: list[str]) -> None:
    asked = EventFilter(min_severity=least)  # type: ignore[arg-type]
    for _ in range(2):
        assert [s for s in ("info", "warning", "critical") if asked.admits(error(severity=s))] == admitted
        assert asked.admits(alert())


def test_what_a_sink_cannot_carry_does_not_go_to_it() -> None:
    asked = EventFilter(["*"], carries=["price.update", "price.alert"])
    assert asked.admits(update())
    assert asked.admits(alert())
    assert not asked.admits(connected())
    assert not asked.admits(custom())


def test_answers_are_remembered_within_a_bound() -> None:
    asked = EventFilter(symbols=["S1*"], remembered=10)
    for number in range(100):
        symbol = f"S{number}"
        assert asked.admits(update(symbol=symbol)) is asked.admits(update(symbol=symbol)) is symbol.startswith("S1")
        assert len(asked.answers) <= 10


NAMES = [kind.event for kind in EVENTS]
GLOBS = st.sampled_from([*NAMES, "price.*", "feed.*", "*", "my.signal", "*.update", "price.[cs]*"])


@given(
    events=st.lists(GLOBS, max_size=4),
    carries=st.sampled_from([("*",), ("price.update", "price.alert"), ("price.error",)]),
)
def test_the_patterns_bring_every_admitted_event_exactly_once(events: list[str], carries: tuple[str, ...]) -> None:
    asked = EventFilter(events, carries=carries)
    records: list[Event] = [update(), alert(), error(), connected(), gap("AAPL"), custom()]
    for record in records:
        brought = sum(_hears(pattern, record.event) for pattern in asked.patterns)
        assert brought <= 1
        assert brought or not asked.admits(record)


def _hears(pattern: str, name: str) -> bool:
    """As the dispatcher reads a pattern."""
    return pattern in ("*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


@given(
    events=st.lists(GLOBS, max_size=3),
    symbols=st.lists(st.sampled_from(["*", "AAPL", "a*", "BTC/*"]), max_size=2),
    least=st.sampled_from(["info", "warning", "critical"]),
)
def test_a_remembered_answer_is_the_answer(events: list[str], symbols: list[str], least: str) -> None:
    asked = EventFilter(events, symbols, least)  # type: ignore[arg-type]
    records: list[Event] = [update(symbol=s) for s in ("AAPL", "aapl", "BTC/USD", "X")]
    records += [error(severity=v, symbol=s) for v, s in product(("info", "critical"), (None, "AAPL", "X"))]
    first = [asked.admits(record) for record in records]
    assert [asked.admits(record) for record in records] == first
    assert first == [EventFilter(events, symbols, least).admits(record) for record in records]  # type: ignore[arg-type]
    for record, answer in zip(records, first, strict=True):
        known = asked.answers.get((record.event, record["symbol"]))
        assert known is None or known is answer


@pytest.mark.parametrize(
    ("made", "name", "all_of_them"),
    [
        (EventFilter(), "price.error", True),
        (EventFilter(["price.alert", "price.error"]), "price.error", True),
        (EventFilter(["price.*"]), "price.error", True),
        (EventFilter(["price.alert"]), "price.error", False),
        (EventFilter(carries=["price.update"]), "price.error", False),
        (EventFilter(symbols=["BTC/*"]), "price.error", False),
        (EventFilter(min_severity="warning"), "price.error", False),
        (EventFilter(min_severity="warning"), "price.alert", True),
    ],
)
def test_whether_all_events_of_a_name_come_is_known_beforehand(made: EventFilter, name: str, all_of_them: bool) -> None:
    assert made.admits_all(name) is all_of_them
