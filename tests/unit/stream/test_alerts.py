"""When alerts fire, how often, for which symbols, and what they keep."""

import math
from typing import Any

import pytest

from pricestreamd.model.events import PriceAlert
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.alerts.text import market_clock
from pricestreamd.stream.settings import AlertSettings
from tests.unit.stream.ticking import PLAIN, Stream


def stream_at(*prices: float, symbols: tuple[str, ...] = ("AAPL",)) -> Stream:
    """A stream that has seen `prices` of its first symbol, and in which only alerts make events."""
    stream = Stream(*symbols, **PLAIN)
    for price in prices:
        stream.tick(price, symbol=symbols[0])
    return stream


def settings_rule(**settings: Any) -> AlertRule:
    return AlertRule.from_settings(AlertSettings(**settings))


# --- above and below


@pytest.mark.parametrize(
    ("path", "fired"),
    [
        ([199.0, 199.99, 200.0], [0, 0, 1]),
        ([199.0, 200.01, 200.0, 250.0], [0, 1, 0, 0]),
        ([199.0, 200.0, 199.99, 200.0], [0, 1, 0, 1]),
        ([200.0, 199.0, 201.0, 198.0, 202.0], [1, 0, 1, 0, 1]),
    ],
)
def test_above_fires_when_the_price_reaches_it_and_again_after_it_was_below(
    path: list[float], fired: list[int]
) -> None:
    stream = stream_at()
    stream.set_alert(above=200)
    assert [len(stream.alerts(price)) for price in path] == fired


@pytest.mark.parametrize(
    ("path", "fired"),
    [
        ([151.0, 150.01, 150.0], [0, 0, 1]),
        ([151.0, 149.0, 150.0, 100.0], [0, 1, 0, 0]),
        ([151.0, 150.0, 150.01, 150.0], [0, 1, 0, 1]),
    ],
)
def test_below_fires_when_the_price_reaches_it_and_again_after_it_was_above(
    path: list[float], fired: list[int]
) -> None:
    stream = stream_at()
    stream.set_alert(below=150)
    assert [len(stream.alerts(price)) for price in path] == fired


def test_both_conditions_of_an_alert_fire_by_themselves() -> None:
    stream = stream_at()
    stream.set_alert(above=200, below=150)
    path = [
        (175.0, []),
        (200.0, ["price_above_200.00"]),
        (150.0, ["price_below_150.00"]),
        (201.0, ["price_above_200.00"]),
    ]
    for price, reasons in path:
        assert stream.reasons(price) == reasons


def test_one_tick_may_fire_several_alerts_in_the_order_in_which_they_were_set() -> None:
    stream = stream_at(100.0)
    stream.set_alert(above=120)
    stream.set_alert(above=110, change_percent=5)
    stream.set_alert(above=115, name="x")
    assert stream.reasons(130.0) == [
        "price_above_120.00",
        "price_above_110.00",
        "change_percent_5.00",
        "price_above_115.00",
    ]
    assert stream.engine.alerts_fired == 4
    assert stream.engine.firings["x"] == 1


def test_a_condition_true_at_the_first_tick_fires() -> None:
    stream = stream_at()
    stream.set_alert(above=200, below=300)
    assert stream.reasons(250.0) == ["price_above_200.00", "price_below_300.00"]


def test_a_condition_true_already_when_it_is_set_fires_at_the_next_tick() -> None:
    stream = stream_at(250.0)
    stream.set_alert(above=200)
    assert stream.reasons(250.0) == ["price_above_200.00"]
    assert stream.reasons(250.0) == []


def test_the_next_doubles_beside_a_threshold_are_told_apart() -> None:
    stream = stream_at()
    stream.set_alert(above=200.35)
    stream.set_alert(below=100.35)
    up, down = math.nextafter(200.35, 0.0), math.nextafter(100.35, math.inf)
    path = [
        (150.0, 0),
        (up, 0),
        (200.35, 1),
        (up, 0),
        (200.35, 1),
        (150.0, 0),
        (down, 0),
        (100.35, 1),
        (down, 0),
        (100.35, 1),
    ]
    for price, fired in path:
        assert len(stream.alerts(price)) == fired


# --- change_percent


def test_a_move_is_measured_from_the_price_when_the_alert_was_set() -> None:
    stream = stream_at(90.0, 100.0)
    stream.set_alert(change_percent=5)
    assert stream.reasons(104.9) == []
    (event,) = stream.alerts(105.0)
    assert (event.alert_value, event.alert_threshold, event.alert_baseline) == (5.0, 5.0, 100.0)


def test_without_a_price_it_is_measured_from_the_first_tick() -> None:
    stream = stream_at()
    stream.set_alert(change_percent=5)
    assert stream.reasons(100.0) == []
    (event,) = stream.alerts(95.0)
    assert (event.alert_value, event.alert_baseline) == (-5.0, 100.0)


def test_a_move_in_small_steps_counts_as_much_as_one_jump() -> None:
    stream = stream_at(100.0)
    stream.set_alert(change_percent=5)
    fired = [bool(stream.alerts(100.0 + step * 0.5)) for step in range(1, 11)]
    assert fired == [False] * 9 + [True]


def test_after_firing_a_move_is_measured_from_where_it_fired() -> None:
    stream = stream_at(100.0)
    stream.set_alert(change_percent=10)
    assert [event.alert_baseline for event in stream.alerts(111.0)] == [100.0]
    assert stream.alerts(111.0) == []
    assert stream.alerts(100.0) == []
    assert [event.alert_baseline for event in stream.alerts(99.0)] == [111.0]
    assert [event.alert_baseline for event in stream.alerts(120.0)] == [99.0]


def test_a_fall_can_be_a_hundred_per_cent_at_most() -> None:
    stream = stream_at(100.0)
    stream.set_alert(change_percent=150)
    assert stream.alerts(1e-9) == []
    assert [event.alert_baseline for event in stream.alerts(250.0)] == [100.0]


# --- once


def test_once_is_done_for_its_symbol_after_any_firing() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    stream.board.set_alert(settings_rule(symbols=("AAPL", "MSFT"), above=200, below=150, once=True, name="o"))
    assert stream.reasons(175.0) == []
    assert stream.reasons(201.0) == ["price_above_200.00"]
    for price in (175.0, 140.0, 175.0, 205.0):
        assert stream.reasons(price) == []
    # Kept per symbol.
    assert stream.reasons(140.0, symbol="MSFT") == ["price_below_150.00"]
    assert stream.reasons(210.0, symbol="MSFT") == []
    assert stream.engine.firings == {"o": 2}


def test_once_fires_once_even_if_two_conditions_become_true_together() -> None:
    stream = stream_at()
    stream.set_alert(above=200, change_percent=5, below=500, once=True)
    assert stream.reasons(250.0) == ["price_above_200.00"]


def test_once_does_not_end_its_neighbours() -> None:
    stream = stream_at()
    stream.set_alert(above=200, once=True)
    stream.set_alert(above=200, name="again and again")
    for price, fired in ((201.0, 2), (199.0, 0), (201.0, 1)):
        assert len(stream.alerts(price)) == fired


# --- several symbols and globs


def test_an_alert_on_a_glob_covers_what_matches_now_and_later() -> None:
    stream = stream_at(symbols=("BTC/USD", "ETH/USD"))
    stream.set_alert("btc/*", above=10)
    stream.board.track(["BTC/EUR", "LTC/EUR"])
    fired = {symbol: len(stream.alerts(11.0, symbol=symbol)) for symbol in ("BTC/USD", "ETH/USD", "BTC/EUR", "LTC/EUR")}
    assert fired == {"BTC/USD": 1, "ETH/USD": 0, "BTC/EUR": 1, "LTC/EUR": 0}


def test_state_is_kept_per_symbol() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    stream.board.set_alert(settings_rule(symbols=("AAPL", "MSFT"), above=200, change_percent=50))
    assert stream.reasons(201.0, symbol="AAPL") == ["price_above_200.00"]
    assert stream.reasons(100.0, symbol="MSFT") == []
    assert stream.reasons(202.0, symbol="AAPL") == []
    assert stream.reasons(250.0, symbol="MSFT") == ["price_above_200.00", "change_percent_50.00"]


def test_an_alert_on_a_symbol_that_comes_later_waits_for_it() -> None:
    stream = stream_at()
    stream.set_alert("MSFT", above=200)
    assert stream.board.alerts_active() == 1
    stream.board.track(["msft"])
    assert [event.symbol for event in stream.alerts(201.0, symbol="MSFT")] == ["msft"]


# --- identity: what is kept, and what is dropped


def states(stream: Stream, alert_id: str) -> dict[str, str]:
    return {
        state.symbol: place
        for state in stream.board.by_symbol.values()
        if (place := state.alerts.state_of(alert_id)) is not None
    }


def test_states_are_armed_firing_and_done() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    alert_id = stream.set_alert(above=200, once=True).alert_id
    other_id = stream.set_alert(above=200, name="other").alert_id
    assert states(stream, alert_id) == {"AAPL": "armed"}
    stream.tick(199.0)
    assert states(stream, alert_id) == {"AAPL": "armed"}
    stream.tick(200.0)
    assert states(stream, alert_id) == {"AAPL": "done"}
    assert states(stream, other_id) == {"AAPL": "firing"}
    stream.tick(199.0)
    assert states(stream, other_id) == {"AAPL": "armed"}
    assert states(stream, "none") == {}


@pytest.mark.parametrize(
    "edit",
    [
        {"notify": ("phone",)},
        {"cooldown": 0.5},
        {"once": True},
        {"above": 200},
        {"below": 150.0},
        {"change_percent": 50.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("revive", [True, False], ids=["set anew", "reload"])
def test_a_condition_whose_text_stays_keeps_its_state(edit: dict[str, Any], revive: bool) -> None:
    stream = stream_at()
    stream.set_alert(above=200.0, name="a")
    assert len(stream.alerts(201.0)) == 1
    edited: dict[str, Any] = {"above": 200.0, "name": "a"} | edit
    stream.set_alert(**edited, revive=revive)
    assert stream.reasons(202.0) == []
    assert stream.reasons(199.0) == []
    assert stream.reasons(203.0) == ["price_above_200.00"]


def test_a_condition_whose_text_changes_begins_anew() -> None:
    stream = stream_at()
    stream.set_alert(above=200.0, below=100, name="a")
    stream.tick(201.0)
    stream.set_alert(above=200.5, below=100, name="a", revive=False)
    assert stream.reasons(201.0) == ["price_above_200.50"]
    assert stream.reasons(99.0) == ["price_below_100.00"]
    stream.set_alert(above=200.5, below=100, name="a", revive=False)
    assert stream.reasons(98.0) == []


def test_a_move_keeps_its_baseline_over_an_edit_and_loses_it_with_its_text() -> None:
    stream = stream_at(100.0)
    stream.set_alert(change_percent=10, name="a")
    stream.tick(105.0)
    stream.set_alert(change_percent=10, name="a", notify="phone", revive=False)
    assert [event.alert_baseline for event in stream.alerts(110.5)] == [100.0]
    stream.tick(112.0)
    stream.set_alert(change_percent=9, name="a", revive=False)
    assert [event.alert_baseline for event in stream.alerts(123.0)] == [112.0]


def test_an_edited_alert_fires_as_it_is_written_now() -> None:
    stream = stream_at(100.0)
    stream.set_alert(above=200, name="a")
    rule = stream.set_alert(above=200, name="a", notify=["phone"], cooldown=5.0)
    (event,) = stream.alerts(201.0)
    assert event.alert_conditions == {"above": 200, "cooldown": 5.0}
    assert stream.board.alerts() == [rule]
    assert stream.board.rule("a") is rule
    assert stream.board.rule("b") is None


def test_an_alert_that_moves_to_another_symbol_leaves_the_old_one() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    stream.set_alert("AAPL", above=200, name="a")
    stream.set_alert("MSFT", above=200, name="a")
    assert stream.reasons(201.0, symbol="AAPL") == []
    assert stream.reasons(201.0, symbol="MSFT") == ["price_above_200.00"]
    assert len(stream.board.alerts()) == 1


def test_what_is_done_stays_done_over_a_reload() -> None:
    stream = stream_at()
    rule = stream.set_alert(above=200, once=True)
    assert len(stream.alerts(201.0)) == 1
    for _ in range(2):
        stream.board.set_alert(rule, revive=False)
        assert states(stream, rule.alert_id) == {"AAPL": "done"}
        assert [stream.reasons(price) for price in (202.0, 199.0, 203.0)] == [[], [], []]


def test_what_is_done_is_armed_again_by_who_sets_it_anew() -> None:
    stream = stream_at()
    rule = stream.set_alert(above=200, once=True)
    first = stream.alerts(201.0, 100.0)
    stream.board.set_alert(rule)
    assert states(stream, rule.alert_id) == {"AAPL": "armed"}
    again = stream.alerts(201.0, 100.0)
    assert [event.alert_reason for event in again] == ["price_above_200.00"]
    # In the same second of a provider that knows no finer time: another firing all the same.
    assert first[0].firing_id != again[0].firing_id


def test_a_done_alert_that_becomes_one_for_ever_keeps_the_state_of_its_condition() -> None:
    stream = stream_at()
    stream.set_alert(above=200, once=True, name="a")
    stream.tick(201.0)
    stream.set_alert(above=200, name="a", revive=False)
    assert states(stream, "a") == {"AAPL": "firing"}
    assert [stream.reasons(price) for price in (202.0, 199.0, 203.0)] == [[], [], ["price_above_200.00"]]


def test_of_a_done_alert_only_a_changed_condition_is_armed_by_a_reload() -> None:
    stream = stream_at()
    stream.set_alert(above=200, below=150, once=True, name="a")
    stream.tick(201.0)
    stream.set_alert(above=200, below=140, once=True, name="a", revive=False)
    assert [stream.reasons(price) for price in (199.0, 202.0, 149.0, 139.0)] == [[], [], [], ["price_below_140.00"]]
    assert states(stream, "a") == {"AAPL": "done"}
    stream.set_alert(above=200, below=140, once=True, name="a", revive=False)
    assert [stream.reasons(price) for price in (202.0, 130.0)] == [[], []]


@pytest.mark.parametrize("once", [True, False])
def test_alerts_keep_their_state_while_their_symbol_is_gone(once: bool) -> None:
    """A reload that moves a symbol to another feed may take it away for a moment; it is no reason to fire again."""
    stream = stream_at()
    stream.set_alert(above=200, change_percent=10, once=once)
    assert len(stream.alerts(201.0)) == 1
    stream.board.untrack(["AAPL"])
    stream.board.track(["AAPL"])
    assert stream.reasons(202.0) == []
    assert stream.reasons(195.0) == []
    assert stream.reasons(203.0) == ([] if once else ["price_above_200.00"])


def test_what_is_changed_while_a_symbol_is_gone_holds_when_it_comes_back() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    stream.set_alert(above=200, name="a")
    stream.set_alert(above=300, name="b")
    stream.set_alert(above=400, name="c")
    stream.tick(500.0)
    stream.board.untrack(["AAPL"])
    stream.board.remove_alert("a")
    stream.set_alert(above=301, name="b", revive=False)
    stream.board.track(["aapl"])
    assert stream.reasons(500.0) == ["price_above_301.00"]


# --- removing


def test_remove_alert_forgets_it_and_its_state() -> None:
    stream = stream_at(199.0)
    rule = stream.set_alert(above=200)
    assert stream.board.remove_alert(rule.alert_id) is True
    assert stream.board.remove_alert(rule.alert_id) is False
    assert stream.reasons(201.0) == []
    assert stream.board.alerts() == []
    stream.board.set_alert(rule, revive=False)
    assert stream.reasons(201.0) == ["price_above_200.00"]


def test_clear_alerts_removes_every_alert_on_a_symbol_and_no_other() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT", "GOOGL"))
    stream.set_alert("AAPL", above=200)
    stream.set_alert("aapl", below=100, name="n")
    stream.set_alert("MSFT", above=200)
    stream.board.set_alert(settings_rule(symbols=("AAPL", "GOOGL"), above=200))
    stream.set_alert("*", above=200, name="all")
    stream.board.clear_alerts(" aapl ")
    assert stream.alerts(201.0, symbol="AAPL") == []
    assert len(stream.alerts(201.0, symbol="MSFT")) == 2
    assert len(stream.alerts(201.0, symbol="GOOGL")) == 2
    stream.board.track(["NEW"])
    assert [event.alert_id for event in stream.alerts(201.0, symbol="NEW")] == ["all"]


def test_clear_alerts_on_the_text_of_a_glob_removes_it() -> None:
    stream = stream_at(symbols=("BTC/USD",))
    stream.board.set_alert(settings_rule(symbols=("BTC/*", "ETH/USD"), above=200))
    stream.set_alert("btc/*", above=100)
    stream.board.clear_alerts("BTC/*")
    assert stream.alerts(201.0, symbol="BTC/USD") == []
    assert [rule.patterns for rule in stream.board.alerts()] == [("ETH/USD",)]


def test_clear_alerts_on_a_symbol_that_comes_later() -> None:
    stream = stream_at()
    stream.set_alert("MSFT", above=200)
    stream.set_alert("M*", above=200)
    stream.board.clear_alerts("MSFT")
    stream.board.track(["MSFT", "META"])
    assert stream.alerts(201.0, symbol="MSFT") == []
    assert len(stream.alerts(201.0, symbol="META")) == 1


def test_active_alerts_are_those_that_can_still_fire_for_some_symbol() -> None:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    assert stream.board.alerts_active() == 0
    stream.set_alert(above=200, once=True)
    stream.board.set_alert(settings_rule(symbols=("AAPL", "MSFT"), below=100, once=True))
    stream.set_alert("TSLA", above=1)
    stream.set_alert(above=300)
    assert stream.board.alerts_active() == 4
    stream.tick(250.0)
    assert stream.board.alerts_active() == 3
    stream.tick(90.0)
    assert stream.board.alerts_active() == 3
    stream.tick(90.0, symbol="MSFT")
    assert stream.board.alerts_active() == 2


def test_untracking_leaves_nothing_behind_of_symbols_without_alerts() -> None:
    stream = stream_at()
    stream.set_alert("AAPL", above=1)
    for number in range(100):
        stream.board.track([f"S{number}"])
        stream.board.untrack([f"S{number}"])
    assert set(stream.board._books) == {"AAPL"}


# --- the event


def test_an_alert_says_everything() -> None:
    stream = stream_at()
    # 2026-01-05 14:31:02 UTC is 09:31:02 in New York.
    at = 1767623462.25
    stream.set_alert(above=200.00, once=True, name="breakout", notify=["phone"])
    stream.tick(199.0, at - 1)
    (event,) = stream.alerts(200.35, at, received_at=at + 0.25, currency="USD")
    assert isinstance(event, PriceAlert)
    assert event.to_dict() == {
        "event": "price.alert",
        "id": "run-3",
        "timestamp": at,
        "symbol": "AAPL",
        "price": 200.35,
        "volume": None,
        "last_price": 199.0,
        "change": 200.35 - 199.0,
        "change_percent": 100.0 * (200.35 - 199.0) / 199.0,
        "currency": "USD",
        "feed": "us",
        "received_at": at + 0.25,
        "sequence": 2,
        "suspect": False,
        "alert_id": "breakout",
        "alert_name": "breakout",
        "alert_reason": "price_above_200.00",
        "alert_conditions": {"above": 200.0, "once": True},
        "alert_text": "AAPL 200.35 crossed above 200.00 at 09:31:02 New York",
        "alert_value": 200.35,
        "alert_threshold": 200.0,
        "alert_baseline": None,
        "firing_id": event.firing_id,
        "late": False,
        "after_gap": False,
    }


@pytest.mark.parametrize(
    ("symbol", "before", "conditions", "price", "text"),
    [
        ("AAPL", 199.0, {"above": 200}, 200.35, "AAPL 200.35 crossed above 200.00 at 09:31:02 New York"),
        ("AAPL", None, {"above": 200}, 200.0, "AAPL 200.00 is above 200.00 at 09:31:02 New York"),
        ("AAPL", 151.0, {"below": 150}, 149.5, "AAPL 149.50 crossed below 150.00 at 09:31:02 New York"),
        (
            "SHIB/USD",
            1.0,
            {"below": 0.00001234},
            0.0000123,
            "SHIB/USD 0.0000123 crossed below 0.00001234 at 14:31:02 UTC",
        ),
        (
            "AAPL",
            100.0,
            {"change_percent": 5},
            106.25,
            "AAPL 106.25 moved +6.25 % from 100.00 (alert at 5.00 %) at 09:31:02 New York",
        ),
        (
            "AAPL",
            100.0,
            {"change_percent": 5},
            90.0,
            "AAPL 90.00 moved -10.00 % from 100.00 (alert at 5.00 %) at 09:31:02 New York",
        ),
    ],
)
def test_the_text_is_a_sentence_for_a_phone(
    symbol: str, before: float | None, conditions: dict[str, Any], price: float, text: str
) -> None:
    stream = stream_at(symbols=(symbol,))
    stream.set_alert(symbol, **conditions)
    if before is not None:
        stream.tick(before, 1.0, symbol)
    (event,) = stream.alerts(price, 1767623462.0, symbol=symbol)
    assert event.alert_text == text


def test_the_text_follows_summer_time() -> None:
    stream = stream_at()
    stream.set_alert(above=200)
    # 2026-07-06 13:31:02 UTC.
    (event,) = stream.alerts(201.0, 1783344662.0)
    assert event.alert_text.endswith("at 09:31:02 New York")


@pytest.mark.parametrize("timestamp", [-1e11, -1e18, -1e300, -math.inf])
def test_a_time_that_no_calendar_knows_is_no_reason_to_lose_an_alert(timestamp: float) -> None:
    stream = stream_at()
    stream.set_alert(above=200)
    (event,) = stream.alerts(201.0, timestamp)
    assert event.alert_text == "AAPL 201.00 is above 200.00"


def test_the_market_clock_is_that_of_pairs_or_of_new_york() -> None:
    assert [market_clock(symbol)[0] for symbol in ("BTC/USD", "EUR/USD", "AAPL", "RY:TSX")] == [
        "UTC",
        "UTC",
        "New York",
        "New York",
    ]


@pytest.mark.parametrize(
    ("conditions", "ticks", "text"),
    [
        (
            {"trailing_percent": 5},
            [(200.0, 1.0), (180.0, 1.0)],
            "fell 10.00 % from its high of 200.00 (alert at 5.00 %)",
        ),
        (
            {"trailing_percent": -5},
            [(200.0, 1.0), (220.0, 1.0)],
            "rose 10.00 % from its low of 200.00 (alert at 5.00 %)",
        ),
        ({"day_volume_above": 1000}, [(200.0, 1000.0)], "has a volume of 1000 today (alert at 1000)"),
        ({"trade_size_above": 0.5}, [(200.0, 0.75)], "traded 0.75 at once (alert at 0.50)"),
        (
            {"change_percent": 5, "baseline": "previous"},
            [(200.0, 1.0), (220.0, 1.0)],
            "moved +10.00 % in one tick from 200.00 (alert at 5.00 %)",
        ),
        (
            {"change_percent": 5, "baseline": 1},
            [(200.0, 1.0), (220.0, 1.0)],
            "moved +10.00 % in 1s from 200.00 (alert at 5.00 %)",
        ),
        ({"above": 100, "below": 300, "when": "all"}, [(200.0, 1.0)], "is above 100.00 and is below 300.00"),
    ],
    ids=str,
)
def test_the_text_of_every_condition(conditions: dict[str, Any], ticks: list[tuple[float, float]], text: str) -> None:
    stream = stream_at()
    stream.set_alert(**conditions)
    (event,) = [event for price, volume in ticks for event in stream.alerts(price, volume=volume)]
    assert event.alert_text.partition(" at 19:00")[0] == f"AAPL {event.price:.2f} {text}"


def test_the_text_of_what_has_held() -> None:
    stream = stream_at()
    stream.board.set_alert(settings_rule(symbol="AAPL", above=100, hold_for=90.0))
    stream.board.set_alert(settings_rule(symbol="AAPL", trade_size_above=5, hold_for=7200.0))
    stream.tick(200.0, 1.0, volume=10.0)
    assert [event["alert_text"] for event in (*stream.pass_time(91.0), *stream.pass_time(7201.0))] == [
        "AAPL 200.00 has been above 100.00 for 90s at 19:01:31 New York",
        "AAPL 200.00 traded 10 at once (alert at 5), for 2h now at 21:00:01 New York",
    ]


def test_nobody_changes_an_alert_through_its_event() -> None:
    stream = stream_at()
    stream.set_alert(above=200)
    (event,) = stream.alerts(201.0)
    conditions: Any = event.alert_conditions
    with pytest.raises(TypeError):
        conditions["above"] = 1
    mine = event.to_dict()
    mine["alert_conditions"]["above"] = 1
    stream.tick(199.0)
    assert stream.alerts(201.0)[0].alert_conditions == {"above": 200}


def test_the_alerts_of_the_first_tick_after_a_gap_say_so() -> None:
    stream = stream_at(100.0, symbols=("AAPL", "MSFT"))
    stream.set_alert(above=200, change_percent=50)
    stream.set_alert("MSFT", above=200)
    stream.board.mark_gap(["aapl", "NONE"])
    assert [event.after_gap for event in stream.alerts(201.0)] == [True, True]
    stream.tick(199.0)
    assert [event.after_gap for event in stream.alerts(202.0)] == [False]
    assert [event.after_gap for event in stream.alerts(202.0, symbol="MSFT")] == [False]


def test_a_tick_after_a_gap_that_fires_nothing_ends_it_and_a_suspect_print_does_not() -> None:
    stream = Stream()
    stream.set_alert(above=110, below=90)
    stream.tick(100.0)
    stream.board.mark_gap(["AAPL"])
    stream.tick(101.0)
    assert [event.after_gap for event in stream.alerts(111.0)] == [False]
    stream.board.mark_gap(["AAPL"])
    assert stream.alerts(50.0) == []
    assert [event.after_gap for event in stream.alerts(50.0)] == [True]


def firing_ids(*, revive: bool = True) -> list[str]:
    stream = stream_at(symbols=("AAPL", "MSFT"))
    ids = []
    for symbol in ("AAPL", "MSFT"):
        stream.set_alert(symbol, above=200, below=150, change_percent=10, name=f"n {symbol}")
        stream.set_alert(symbol, above=200)
    for at, price in enumerate((175.0, 201.0, 199.0, 202.0, 140.0, 203.0)):
        for symbol in ("AAPL", "MSFT"):
            ids += [event.firing_id for event in stream.alerts(price, float(at), symbol=symbol)]
        if at == 2:
            for rule in stream.board.alerts():
                stream.board.set_alert(rule, revive=revive)
    return ids


def test_every_firing_has_an_id_of_its_own_that_is_the_same_in_every_run() -> None:
    ids = firing_ids()
    assert len(ids) == len(set(ids)) == 20
    assert ids == firing_ids() == firing_ids(revive=False)
    assert all(len(one) == 16 and set(one) <= set("0123456789abcdef") for one in ids)


def holding_since_100() -> Stream:
    stream = Stream(since=1.0, **PLAIN)
    stream.board.set_alert(settings_rule(symbol="AAPL", above=200, hold_for=60.0))
    stream.tick(99.0, 50.0)
    stream.tick(201.0, 100.0)
    return stream


def test_a_firing_after_a_gap_in_the_time_for_which_it_had_to_hold_says_so() -> None:
    stream = holding_since_100()
    stream.pass_time(130.0)
    stream.board.mark_gap(["AAPL"], 120.0, 130.0)
    stream.tick(202.0, 130.0)
    assert [event["after_gap"] for event in stream.pass_time(170.0)] == [True]


DAY = 86_400.0
GAPS = [
    # Told of: begin, end. When it fires, by a tick or by the clock.
    ([], 160.0),
    ([(120.0, 130.0)], 170.0),
    ([(120.0, 130.0), (140.0, 140.0), (150.0, 155.0)], 175.0),
    # One time of which two tell.
    ([(120.0, 130.0), (120.0, 132.0)], 172.0),
    # Nothing was seen of the time for which it held: it begins anew with the next price.
    ([(90.0, 105.0)], 166.0),
    # The wall clock was set meanwhile.
    ([(120.0, 130.0 + DAY)], 191.0),
    ([(-math.inf, math.inf)], 191.0),
]


@pytest.mark.parametrize(("gaps", "at"), GAPS)
def test_time_that_nobody_watched_does_not_count_for_what_has_to_hold(
    gaps: list[tuple[float, float]], at: float
) -> None:
    stream = holding_since_100()
    for begin, end in gaps:
        stream.pass_time(min(max(stream.now, end), stream.now + 30.0))
        stream.board.mark_gap(["AAPL"], begin, end)
        stream.alerts(202.0)
    assert [event.timestamp for event in stream.pass_time(400.0)] == [at]


def notices_at_the_deadline(stream: Stream, begin: float, end: float) -> None:
    alerts = stream.engine.alerts

    def look() -> None:
        alerts.before_deadlines = None
        stream.board.mark_gap(["AAPL"], begin, end)

    alerts.before_deadlines = look


def test_a_deadline_that_passed_while_nobody_watched_is_none() -> None:
    """Whoever notices the gap may be asked only when the deadline is due."""
    stream = holding_since_100()
    notices_at_the_deadline(stream, 110.0, 1000.0)
    stream.now = 1000.0
    stream.engine.on_time(1000.0)
    assert stream.pass_time(1100.0) == []
    (alert,) = stream.alerts(202.0, 1101.0)
    assert alert.after_gap


def test_the_tick_at_which_a_gap_is_noticed_is_the_first_after_it() -> None:
    stream = holding_since_100()
    stream.set_alert(above=300)
    notices_at_the_deadline(stream, 110.0, 1000.0)
    before = len(stream.events)
    stream.now = 1000.0
    state = stream.board.by_symbol["AAPL"]
    stream.engine.on_tick(Tick("AAPL", 301.0, 1000.0, 1000.0, None, None, "us"))
    (alert,) = [event for event in stream.events[before:] if isinstance(event, PriceAlert)]
    assert (alert["alert_conditions"], alert.after_gap) == ({"above": 300}, True)
    assert state.gap_before == state.updates
    assert [event["after_gap"] for event in stream.pass_time(1050.0)] == [True]


def test_rearming_lets_go_of_what_held() -> None:
    stream = stream_at(100.0)
    rule = settings_rule(symbol="AAPL", above=200, hold_for=60.0)
    stream.board.set_alert(rule)
    stream.tick(201.0, 10.0)
    stream.board.rearm(rule.alert_id)
    stream.tick(202.0, 50.0)
    assert [event.timestamp for event in stream.pass_time(200.0)] == [110.0]


def test_an_alert_that_is_removed_and_set_in_one_second_fires_under_another_id() -> None:
    """Prices of some providers come with whole seconds; and who delivers by ids would take the second for the first."""
    stream = stream_at()
    ids = []
    for _ in range(3):
        rule = stream.set_alert(above=200)
        ids += [event.firing_id for event in stream.alerts(201.0, 100.0)]
        stream.board.remove_alert(rule.alert_id)
    assert len(set(ids)) == len(ids) == 3


def test_firings_of_one_second_have_different_ids() -> None:
    stream = stream_at()
    stream.set_alert(above=200)
    ids = [event.firing_id for price in (201.0, 199.0) * 5 for event in stream.alerts(price, 100.0)]
    assert len(set(ids)) == len(ids) == 5
