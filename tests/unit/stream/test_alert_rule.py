"""What an alert says: conditions, texts, identity, and what is wrong with it."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.stream.alert_rule import AlertError, AlertRule, exact
from pricestreamd.stream.settings import AlertSettings


def rule(symbol: str = "AAPL", **conditions: Any) -> AlertRule:
    return AlertRule.from_mapping(symbol, conditions)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (200, "200.00"),
        (200.0, "200.00"),
        (200.5, "200.50"),
        (13.9, "13.90"),
        (199.999, "199.999"),
        (0.00001234, "0.00001234"),
        (1e-9, "0.000000001"),
        (5, "5.00"),
        (1e22, "10000000000000000000000.00"),
        (1_000_000.0, "1000000.00"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_threshold_has_two_decimals_at_least_and_loses_no_digit(number: float, text: str) -> None:
    assert exact(number) == text


@given(st.floats(5e-324, 1e300))
def test_the_text_of_a_threshold_is_that_number_again(number: float) -> None:
    text = exact(number)
    assert float(text) == number
    assert "e" not in text.lower()
    assert len(text.split(".")[1]) >= 2


@pytest.mark.parametrize(
    ("conditions", "reasons"),
    [
        ({"above": 200.0}, ["price_above_200.00"]),
        ({"below": 150}, ["price_below_150.00"]),
        ({"change_percent": 5.0}, ["change_percent_5.00"]),
        ({"above": 0.00001234}, ["price_above_0.00001234"]),
        (
            {"below": 150, "above": 200, "change_percent": 2.5},
            ["price_above_200.00", "price_below_150.00", "change_percent_2.50"],
        ),
    ],
)
def test_reasons_name_condition_and_threshold(conditions: dict[str, Any], reasons: list[str]) -> None:
    assert [condition.reason for condition in rule(**conditions).conditions] == reasons


# --- identity


def test_the_id_of_a_named_alert_is_its_name() -> None:
    assert rule(above=200, name="my-alert").alert_id == "my-alert"


def test_the_id_of_an_alert_without_a_name_is_its_symbol_and_eight_digits() -> None:
    alert_id = rule(above=200).alert_id
    symbol, _, digits = alert_id.rpartition("-")
    assert symbol == "AAPL"
    assert len(digits) == 8
    assert set(digits) <= set("0123456789abcdef")
    # The same in every run, on every machine: state is found again by it.
    assert alert_id == "AAPL-cb849a5c"


@pytest.mark.parametrize(
    "other",
    [
        rule(above=200.0),
        rule(above=200, once=True),
        rule(above=200, notify=["phone"]),
        rule(above=200, cooldown=600.0),
        rule("aapl", above=200),
        rule(" AAPL ", above=200),
        AlertRule.from_settings(AlertSettings(symbols=("AAPL",), above=200)),
    ],
)
def test_how_it_is_written_or_what_happens_then_does_not_change_the_id(other: AlertRule) -> None:
    assert other.alert_id == rule(above=200).alert_id


@pytest.mark.parametrize(
    "other",
    [rule(above=201), rule(below=200), rule(above=200, below=100), rule("MSFT", above=200), rule("AAPL*", above=200)],
)
def test_another_condition_or_symbol_is_another_alert(other: AlertRule) -> None:
    assert other.alert_id != rule(above=200).alert_id


def test_the_order_of_conditions_does_not_change_the_id() -> None:
    assert rule(above=200, below=150).alert_id == rule(below=150, above=200).alert_id


# --- symbols


@pytest.mark.parametrize(
    ("patterns", "symbol", "covered"),
    [
        (("AAPL",), "aapl", True),
        (("aapl",), " AAPL ", True),
        (("AAPL", "MSFT"), "MSFT", True),
        (("AAPL",), "AAPLX", False),
        (("BTC/*",), "btc/usd", True),
        (("btc/*",), "BTC/USD", True),
        (("BTC/*",), "ETH/USD", False),
        (("*",), "anything", True),
        (("A?PL",), "AAPL", True),
        (("[AM]*",), "MSFT", True),
    ],
)
def test_symbols_and_globs_match_whatever_the_case(patterns: tuple[str, ...], symbol: str, covered: bool) -> None:
    alert = AlertRule.from_settings(AlertSettings(symbols=patterns, above=1))
    assert alert.covers(symbol) is covered


def test_a_symbol_that_is_written_twice_counts_once() -> None:
    alert = AlertRule.from_settings(AlertSettings(symbol="aapl", symbols=("AAPL", "MSFT", " msft "), above=1))
    assert alert.patterns == ("AAPL", "MSFT")
    assert alert.alert_id == AlertRule.from_settings(AlertSettings(symbols=("AAPL", "MSFT"), above=1)).alert_id


def test_symbol_and_symbols_are_one_list() -> None:
    alert = AlertRule.from_settings(AlertSettings(symbol="AAPL", symbols=("msft",), above=1))
    assert alert.patterns == ("AAPL", "MSFT")


def test_without_a_symbol_the_others_stay() -> None:
    alert = AlertRule.from_settings(AlertSettings(symbols=("AAPL", "MSFT", "BTC/*"), above=1))
    others = alert.without("aapl")
    assert others is not None
    assert (others.patterns, others.excluded) == (("MSFT", "BTC/*"), ())
    assert others.alert_id == alert.alert_id
    assert [others.covers(symbol) for symbol in ("AAPL", "MSFT", "BTC/USD")] == [False, True, True]


def test_a_glob_leaves_one_symbol_out() -> None:
    alert = rule("BTC/*", above=1)
    others = alert.without("btc/usd")
    assert others is not None
    assert [others.covers(symbol) for symbol in ("BTC/USD", "btc/usd", "BTC/EUR")] == [False, False, True]
    fewer = others.without("BTC/EUR")
    assert fewer is not None
    assert [fewer.covers(symbol) for symbol in ("BTC/USD", "BTC/EUR", "BTC/CHF")] == [False, False, True]
    assert fewer.without("btc/*") is None


def test_without_its_only_symbol_nothing_is_left() -> None:
    assert rule(above=1).without("aapl") is None


# --- what was written


@pytest.mark.parametrize(
    ("conditions", "written"),
    [
        ({"above": 200.0, "once": True}, {"above": 200.0, "once": True}),
        ({"below": 150.0, "once": False}, {"below": 150.0}),
        ({"above": 1.0, "name": "n", "notify": ["phone"]}, {"above": 1.0}),
        ({"above": 1.0, "for": 30.0, "cooldown": 600.0}, {"above": 1.0, "cooldown": 600.0, "for": 30.0}),
    ],
)
def test_alert_conditions_are_what_was_written(conditions: dict[str, Any], written: Mapping[str, Any]) -> None:
    assert rule(**conditions).written == written


@pytest.mark.parametrize(
    ("notify", "sinks"),
    [(None, ()), ([], ()), ("phone", ("phone",)), (["phone", "log"], ("phone", "log")), (("a",), ("a",))],
)
def test_sinks_are_named_one_by_one_or_as_a_list(notify: Any, sinks: tuple[str, ...]) -> None:
    assert rule(above=200, notify=notify).notify == sinks


def test_where_an_alert_comes_from_is_kept() -> None:
    assert rule(above=1).source == "api"
    assert AlertRule.from_settings(AlertSettings(symbol="A", above=1)).source == "yaml"


# --- what is wrong


@pytest.mark.parametrize(
    ("symbol", "conditions", "message"),
    [
        ("AAPL", {}, "the alert on AAPL needs a condition: above, below, change_percent"),
        ("AAPL", {"once": True}, "the alert on AAPL needs a condition: above, below, change_percent"),
        ("", {"above": 1}, "an alert needs a symbol"),
        ("  ", {"above": 1}, "an alert needs a symbol"),
        ("AAPL", {"abov": 200}, "unknown alert condition 'abov': did you mean above?"),
        ("AAPL", {"Above": 200}, "unknown alert condition 'Above': did you mean above?"),
        ("AAPL", {"change_percentage": 5}, "unknown alert condition 'change_percentage': did you mean change_percent?"),
        ("AAPL", {"hold_for": 5}, "unknown alert condition 'hold_for'"),
        ("AAPL", {"symbol": "MSFT", "above": 1}, "unknown alert condition 'symbol'"),
        *[
            ("AAPL", {"above": bad}, "above: expected a positive number, got ")
            for bad in ("200", 0, -1, True, math.nan, math.inf, Decimal(1))
        ],
        ("AAPL", {"below": 0.0}, "below: expected a positive number, got 0.0"),
        ("AAPL", {"change_percent": -5}, "change_percent: expected a positive number, got -5"),
        ("AAPL", {"above": 1, "once": "no"}, "once: expected True or False, got 'no'"),
        ("AAPL", {"above": 1, "name": 5}, "name: expected a text of 1 to 128 printable characters, got 5"),
    ],
)
def test_what_is_no_alert_is_refused_with_a_reason(symbol: str, conditions: dict[str, Any], message: str) -> None:
    with pytest.raises(AlertError) as caught:
        AlertRule.from_mapping(symbol, conditions)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, PriceStreamError)
    assert isinstance(caught.value, ValueError)


def test_an_unknown_word_that_is_like_no_other_is_told_all_that_are_known() -> None:
    with pytest.raises(AlertError) as caught:
        rule(xyzzy=1)
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert {"above", "below", "change_percent", "once", "for", "name", "notify"} <= set(known)
    assert not {"symbol", "symbols", "hold_for"} & set(known)
