"""Tests of alerts that cannot be run are told of with their place; those that fail are not looked at here."""

from datetime import UTC, datetime

import pytest

from tests.unit.config.conftest import Load, Problems

ALERTS = """\
feeds: {us: {provider: twelvedata, api_key: "${K}", symbols: [AAPL, MSFT]}}
alerts:
  - {name: msft-move, symbol: MSFT, change_percent: 5}
  - {symbol: BTC/*, above: 2, below: 1, when: all}
tests:
"""


def in_tests(test: str) -> str:
    return f"{ALERTS}  - {test}\n"


def test_a_test_is_read_with_its_defaults(load_text: Load) -> None:
    text = in_tests("{name: a, ticks: [{symbol: MSFT, price: 1}], expect: [{alert: msft-move}]}")
    (test,) = load_text(text, K="k").settings.tests
    assert test.start == datetime(2026, 1, 5, 15, tzinfo=UTC)
    assert (test.ticks[0].at, test.ticks[0].volume) == (0.0, None)
    wanted = test.expect[0]
    assert (wanted.event, wanted.alert, wanted.at, wanted.symbol, wanted.reason) == (
        "price.alert", "msft-move", None, None, None,
    )  # fmt: skip


def test_a_test_that_would_fail_can_be_loaded(load_text: Load) -> None:
    loaded = load_text(in_tests("{name: a, ticks: [{symbol: MSFT, price: 1}], expect: [{at: 5s}]}"), K="k")
    assert not [warning for warning in loaded.warnings if warning.key.startswith("tests")]


@pytest.mark.parametrize(
    "expect",
    [
        "{alert: msft-move, symbol: msft, at: 0s, reason: change_percent_5.00}",
        "{event: alert.blind, alert: msft-move}",
        "{event: price.spike, symbol: MSFT}",
    ],
)
def test_what_can_come_may_be_expected(load_text: Load, expect: str) -> None:
    load_text(in_tests(f"{{name: a, ticks: [{{symbol: MSFT, price: 1}}], expect: [{expect}]}}"), K="k")


EVENTS = "price.alert, alert.blind, alert.sighted, price.change, price.spike or price.update"
TICKS = "ticks: [{symbol: MSFT, price: 1}]"


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (
            f"{{name: a, {TICKS}, expect: [{{alert: msft-mov}}]}}",
            "6:67: tests[0].expect[0].alert: no alert 'msft-mov'; did you mean 'msft-move'?",
        ),
        (
            f"{{name: a, {TICKS}, expect: [{{event: price.alrt}}]}}",
            "6:67: tests[0].expect[0].event: no test sees the event 'price.alrt'; did you mean 'price.alert'?",
        ),
        (
            f"{{name: a, {TICKS}, expect: [{{event: feed.connected}}]}}",
            f"6:67: tests[0].expect[0].event: no test sees the event 'feed.connected'; it may expect {EVENTS}",
        ),
        (
            "{name: a, ticks: [{symbol: MSFTT, price: 1}], expect: []}",
            "6:32: tests[0].ticks[0].symbol: no feed and no alert has the symbol 'MSFTT'; did you mean 'MSFT'?",
        ),
        (
            f"{{name: a, {TICKS}, expect: [{{symbol: MSFTT}}]}}",
            "6:68: tests[0].expect[0].symbol: no tick of this test has the symbol 'MSFTT'; did you mean 'MSFT'?",
        ),
        (
            "{name: a, ticks: [{symbol: AAPL, price: 1}], expect: [{alert: msft-move}]}",
            "6:67: tests[0].expect[0].alert: alert msft-move is not on AAPL",
        ),
        (
            f"{{name: a, {TICKS}, expect: [{{event: price.change, alert: msft-move}}]}}",
            "6:81: tests[0].expect[0].alert: price.change is of no alert",
        ),
        (
            f"{{name: a, {TICKS}, expect: [{{event: alert.blind, reason: stale}}]}}",
            "6:80: tests[0].expect[0].reason: alert.blind has no alert_reason",
        ),
        (
            f"{{name: a, {TICKS}, expect: [{{reason: change_percent_}}]}}",
            "6:68: tests[0].expect[0].reason: no alert has the reason 'change_percent_'; did you mean 'change_percent_5.00'?",
        ),
        (
            "{name: a, ticks: [{symbol: MSFT, price: 1, at: 20s}, {symbol: AAPL, price: 1, at: 10s}], expect: []}",
            "6:87: tests[0].ticks[1].at: 10s is before the 20s of the tick above it: ticks are in order of time",
        ),
        ("{name: a, ticks: [], expect: []}", "6:22: tests[0].ticks: expected at least one entry"),
        (f"{{name: a, {TICKS}}}", "6:5: tests[0].expect: this key is missing"),
        (
            f"{{name: a, start: noon, {TICKS}, expect: []}}",
            "6:22: tests[0].start: expected a time with its offset such as 2030-01-31T16:00:00-05:00, got 'noon'",
        ),
    ],
)
def test_what_cannot_be_is_told_at_its_place(problems_of: Problems, test: str, problem: str) -> None:
    assert problems_of(in_tests(test), K="k") == [f"c.yaml:{problem}"]


def test_a_symbol_is_known_by_a_glob_of_an_alert(load_text: Load) -> None:
    text = in_tests(
        "{name: a, ticks: [{symbol: btc/usd, price: 1}], expect: [{reason: price_above_2.00+price_below_1.00}]}"
    )
    assert load_text(text, K="k").settings.tests


def test_with_a_watchlist_any_symbol_may_come(load_text: Load) -> None:
    text = in_tests("{name: a, ticks: [{symbol: LATER, price: 1}], expect: []}").replace(
        "symbols: [AAPL, MSFT]", "symbols: [AAPL, MSFT], watchlist: {file: list.txt}"
    )
    assert load_text(text, K="k").settings.tests


def test_what_is_wrong_with_an_alert_is_not_told_again_of_its_test(problems_of: Problems) -> None:
    text = in_tests("{name: a, ticks: [{symbol: X, price: 1}], expect: [{alert: broken}, {alert: gone}]}").replace(
        "tests:", "  - {name: broken, symbol: X, abov: 1}\ntests:"
    )
    keys = [problem.split(": ")[1] for problem in problems_of(text, K="k")]
    assert keys == ["alerts[2].abov", "tests[0].expect[1].alert"]


def test_a_configuration_without_tests_has_none(load_text: Load) -> None:
    assert load_text("alerts: [{symbol: A, above: 1}]").settings.tests == ()
