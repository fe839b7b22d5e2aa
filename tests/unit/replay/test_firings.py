"""What a replay tells of its alerts: firings of each symbol, when, what was held back, and storms."""

import dataclasses
import json
from typing import Any

from pricestreamd.model.tick import Tick
from pricestreamd.replay.firings import AlertAccount, Firings
from pricestreamd.replay.runner import ReplayRun, ReplaySummary
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import AlertStormSettings, StreamSettings

QUIET = StreamSettings(suspect=None)


def rule(symbol: str, **conditions: Any) -> AlertRule:
    return AlertRule.from_mapping(symbol, conditions)


def replayed(prices: list[tuple[str, float, float]], *rules: AlertRule, per_minute: int = 30) -> ReplaySummary:
    """Of (symbol, price, time)."""
    run = ReplayRun(QUIET, alerts=rules, storm=AlertStormSettings(per_minute=per_minute))
    return run.run(Tick(symbol, price, at, at, None, None, "replay") for symbol, price, at in prices)


def test_the_account_of_an_alert_has_each_symbol_and_all_together() -> None:
    prices = [
        ("A", 2.0, 10.0),
        ("B", 1.0, 11.0),
        ("B", 2.0, 12.0),
        ("A", 1.0, 13.0),
        ("A", 2.0, 14.0),
        ("C", 1.0, 15.0),
    ]
    summary = replayed(prices, rule("*", name="two", above=2.0), rule("A", name="never", below=0.5))
    two, never = summary.alert_accounts["two"], summary.alert_accounts["never"]
    assert list(summary.alert_accounts) == list(summary.alerts) == ["two", "never"]
    assert (two.firings, two.first, two.last, two.covered) == (3, 10.0, 14.0, 3)
    assert two.last_text is not None
    assert two.last_text.startswith("A 2.00 crossed above 2.00")
    assert {symbol: (one.firings, one.first, one.last) for symbol, one in two.symbols.items()} == {
        "A": (2, 10.0, 14.0),
        "B": (1, 12.0, 12.0),
    }
    assert never == AlertAccount(covered=1)


def test_what_the_cooldown_held_back_is_told_even_of_a_symbol_that_fired_once() -> None:
    prices = [("A", price, float(at)) for at, price in enumerate([2.0, 1.0, 2.0, 1.0, 2.0])]
    summary = replayed(prices, rule("A", name="two", above=2.0, cooldown=3600))
    account = summary.alert_accounts["two"]
    assert (account.firings, account.held_back) == (1, 2)
    assert account.symbols["A"].held_back == 2


def test_storms_are_metered_in_event_time_by_the_limit_of_the_configuration() -> None:
    prices = [("A", 1.0 + at % 2, float(at)) for at in range(120)]
    summary = replayed(prices, rule("A", name="two", above=2.0), per_minute=10)
    account = summary.alert_accounts["two"]
    # Fires at 1, 3, 5 ...: thirty in a minute; the eleventh, at 21, begins the storm and a group, the next one does at 81.
    assert (account.firings, account.storms, account.worst_minute) == (60, 1, 30)
    assert (account.longest_storm_seconds, account.saved_deliveries) == (98.0, 48)
    assert replayed(prices, rule("A", name="two", above=2.0), per_minute=30).alert_accounts["two"].storms == 0


def test_an_alert_on_no_symbol_of_the_replay_has_an_empty_account() -> None:
    summary = replayed([("A", 1.0, 1.0)], rule("Z", name="elsewhere", above=1.0))
    assert summary.alert_accounts == {"elsewhere": AlertAccount()}


def test_the_account_is_json_with_stable_names() -> None:
    summary = replayed([("A", 2.0, 1.0)], rule("A", name="two", above=2.0))
    told = summary.to_dict()["alert_accounts"]["two"]
    assert json.loads(json.dumps(told)) == told
    names = [field.name for field in dataclasses.fields(Firings)]
    assert list(told) == [*names, "covered", "symbols"]
    assert list(told["symbols"]["A"]) == names


def test_a_stream_beside_gets_the_same_ticks_and_changes_nothing_of_the_first() -> None:
    ticks = [Tick("A", 1.0 + at % 2, float(at), float(at), None, None, "replay") for at in range(3000)]
    alone = ReplayRun(QUIET, alerts=[rule("A", name="two", above=2.0)])
    both = ReplayRun(QUIET, alerts=[rule("A", name="two", above=2.0)])
    other = both.beside([rule("A", name="two", above=2.0, cooldown=10)])
    assert both.run(iter(ticks)) == alone.run(iter(ticks))
    account = other.alert_accounts()["two"]
    # From its first firing, at 1 s, on it fires every ten seconds: 1, 11, 21 ...
    assert (account.firings, account.held_back) == (300, 1200)
