"""The rules of the configured alerts."""

import json
from datetime import UTC, datetime

import pytest

from tests.unit.config.conftest import Load, Problems


def test_each_alert_is_a_rule(load_text: Load) -> None:
    loaded = load_text("alerts: [{name: a, symbol: A, above: 1}, {symbols: [B, C*], change_percent: 5%}]")
    first, second = loaded.alert_rules
    assert first.alert_id == "a"
    assert second.alert_id.startswith("B-")
    assert second.covers("c1")


SAME = "alerts:\n  - {symbol: A, above: 1}\n  - {symbol: B, above: 1}\n  - {symbol: a, above: 1.0, notify: [log]}\n"


def test_two_alerts_that_are_the_same_are_told_with_both_places(problems_of: Problems) -> None:
    assert problems_of(SAME) == [
        "c.yaml:4:5: alerts[2]: the same alert as alerts[0] (c.yaml:2:5): give one of them another name"
    ]


def test_they_are_told_together_with_every_other_problem_in_the_order_of_the_file(problems_of: Problems) -> None:
    text = "shutdown_timeout: soon\n" + SAME + "  - {symbol: A, above: 1, abov: 2}\n  - {symbol: A}\nstrem: {}\n"
    keys = [problem.split(": ")[1] for problem in problems_of(text)]
    assert keys == ["shutdown_timeout", "alerts[2]", "alerts[3].abov", "alerts[4]", "strem"]


def test_an_alert_is_told_of_once(problems_of: Problems) -> None:
    assert len(problems_of("alerts: [{above: 1}]")) == 1
    assert len(problems_of("alerts: [{name: a, symbol: A, above: 1}, {name: a, symbol: A, above: 1}]")) == 1


def test_a_name_that_is_the_identity_of_another_alert_is_told_of(load_text: Load, problems_of: Problems) -> None:
    identity = load_text("alerts: [{symbol: A, above: 1}]").alert_rules[0].alert_id
    (problem,) = problems_of(f"alerts: [{{symbol: A, above: 1}}, {{name: {identity}, symbol: B, above: 1}}]")
    assert "alerts[1]: the same alert as alerts[0]" in problem


EVERYTHING = """
alerts:
  - symbol: A
    above: 1
    below: 1.5
    change_percent: 1%
    trailing_percent: -2%
    baseline: 15m
    hysteresis: 0.1%
    when: all
    trigger: every_update
    on_start: require_cross
    cooldown: 1m
    for: 1s
    expires: 2030-01-31T16:00:00Z
    active: {days: mon-fri, from: "09:30", to: "16:00", timezone: America/New_York}
    session: regular
    on_blind: notify
"""


def test_every_key_of_an_alert_becomes_part_of_its_rule(load_text: Load) -> None:
    loaded = load_text(EVERYTHING)
    assert loaded.warnings == ()
    (rule,) = loaded.alert_rules
    assert [condition.text for condition in rule.conditions] == [
        *("above:1.00", "below:1.50", "change_percent:1.00@900s", "trailing_percent:-2.00")
    ]
    assert (rule.together, rule.every_update, rule.require_cross, rule.tells_blind) == (True, True, True, True)
    assert (rule.hysteresis, rule.cooldown, rule.hold_for, rule.session) == (0.1, 60.0, 1.0, "regular")
    assert rule.expires == datetime(2030, 1, 31, 16, tzinfo=UTC).timestamp()
    assert rule.active is not None
    assert rule.active.timezone == "America/New_York"
    assert rule.written["active"] == {
        "days": "mon-fri",
        "from": "09:30",
        "to": "16:00",
        "timezone": "America/New_York",
    }
    assert rule.written["expires"] == "2030-01-31T16:00:00Z"
    json.dumps(dict(rule.written))


@pytest.mark.parametrize(
    ("alert", "problem"),
    [
        ("trailing_percent: 0", "alerts[0].trailing_percent: expected a percentage below the highest price"),
        ("trailing_percent: 100", "alerts[0].trailing_percent: expected a percentage below the highest price"),
        ("trailing_percent: 5, hysteresis: 5", "alerts[0].hysteresis: trailing_percent could never fire again"),
        ("above: 5, hysteresis: 100", "alerts[0].hysteresis: above could never fire again: expected less than 100.00"),
        ("change_percent: 1, baseline: open, hysteresis: 1", "alerts[0].hysteresis: change_percent could never"),
        ("above: 1, baseline: 0s", "alerts[0].baseline: must be more than 0"),
        ("above: 1, active: {days: xyz}", "alerts[0].active.days: expected days such as mon-fri"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_key(problems_of: Problems, alert: str, problem: str) -> None:
    (told,) = problems_of(f"alerts: [{{symbol: A, {alert}}}]")
    assert problem in told


def test_hysteresis_may_be_large_where_it_does_no_harm(load_text: Load) -> None:
    loaded = load_text("alerts: [{symbol: A, below: 1, change_percent: 1, hysteresis: 500%}]")
    assert len(loaded.alert_rules) == 1


# --- what alerts ask of feeds

DAY = "{provider: twelvedata, api_key: '${K}', symbols: [AAPL, BTC/USD]}"
TRADES = "{provider: binance, symbols: [BTC/USDT]}"


@pytest.mark.parametrize(
    ("feeds", "alert", "problem"),
    [
        (f"a: {DAY}", "{symbol: AAPL, trade_size_above: 1}", "feed a reports the volume of the day of AAPL, not the"),
        (f"b: {TRADES}", "{symbol: BTC/*, day_volume_above: 1}", "feed b reports the size of each trade of BTC/USDT"),
        (f"a: {DAY}, b: {TRADES}", "{symbol: '*', day_volume_above: 1}", "feed b reports the size of each trade of"),
        (f"a: {DAY}", "{symbol: LATER, trade_size_above: 1}", "no feed reports the size of each trade"),
    ],
)
def test_a_volume_that_the_feed_does_not_report_is_refused(
    problems_of: Problems, feeds: str, alert: str, problem: str
) -> None:
    (told,) = problems_of(f"feeds: {{{feeds}}}\nalerts: [{alert}]", K="k")
    key = "day_volume_above" if "day_volume" in alert else "trade_size_above"
    assert f"alerts[0].{key}: {problem}" in told


def test_a_volume_that_the_feed_reports_is_good(load_text: Load) -> None:
    text = f"""
        feeds: {{a: {DAY}, b: {TRADES}}}
        alerts:
          - {{symbol: AAPL, day_volume_above: 1}}
          - {{symbol: BTC/USDT, trade_size_above: 1}}
        """
    loaded = load_text(text, K="k")
    assert loaded.warnings == ()
    assert len(loaded.alert_rules) == 2


def test_a_replay_takes_any_volume(load_text: Load) -> None:
    assert load_text("alerts: [{symbol: A, trade_size_above: 1, day_volume_above: 1}]").warnings == ()


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        ("{symbol: AAPL, change_percent: 1, baseline: open}", None),
        ("{symbol: AAPL, above: 1, session: extended}", None),
        ("{symbol: BTC/USD, above: 1, session: regular}", None),
        (
            "{symbol: BTC/USD, above: 1, session: extended}",
            "alerts[0].session: the market of BTC/USD never closes: the alert cannot fire there",
        ),
        (
            "{symbol: BTC/USD, change_percent: 1, baseline: close}",
            "alerts[0].baseline: the market of BTC/USD never closes: the alert is blind there",
        ),
        (
            "{symbol: TLT.KS, above: 1, session: regular}",
            "alerts[0].session: the market hours of TLT.KS are not known: the alert is blind there",
        ),
        ("{symbol: AAPL, above: 1, expires: 2020-01-01T00:00:00Z}", "alerts[0].expires: this time is over"),
        (
            "{symbol: AAPL, above: 1, baseline: 5m}",
            "alerts[0].baseline: only change_percent is measured from a baseline",
        ),
    ],
)
def test_what_cannot_work_for_want_of_hours_or_time_is_told(
    warnings_of: Problems, alert: str, told: str | None
) -> None:
    feed = "{provider: twelvedata, api_key: '${K}', symbols: [AAPL, BTC/USD, TLT.KS]}"
    found = warnings_of(f"feeds: {{a: {feed}}}\nalerts: [{alert}]", K="k")
    assert [told is not None and told in line for line in found] == ([] if told is None else [True])


@pytest.mark.parametrize("feeds", ["", "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [AAPL]}}\n"])
def test_alternatives_that_are_always_true_are_told_of_with_and_without_feeds(
    warnings_of: Problems, feeds: str
) -> None:
    told = warnings_of(f"{feeds}alerts: [{{symbol: AAPL, above: 1, below: 1}}]", K="k")
    assert [line.partition("alerts[0].")[2] for line in told if "alerts" in line] == [
        "above: not more than below, so that one of the two is always true"
    ]
    together = warnings_of(f"{feeds}alerts: [{{symbol: AAPL, above: 1, below: 2, when: all}}]", K="k")
    assert not [line for line in together if "alerts" in line]


@pytest.mark.parametrize("when", ["any", "all"])
@pytest.mark.parametrize(("above", "below"), [(300, 100), (100.01, 100), (100, 100), (99, 100)])
def test_conditions_that_no_price_meets_together_are_told_of(
    warnings_of: Problems, above: float, below: float, when: str
) -> None:
    told = warnings_of(f"alerts: [{{symbol: AAPL, above: {above}, below: {below}, when: {when}}}]")
    never = "more than below, and no price is both: the alert can never fire"
    assert [never in line for line in told if "alerts" in line and "always" not in line] == (
        [True] if when == "all" and above > below else []
    )


def test_a_space_inside_a_symbol_asks_for_a_comma(warnings_of: Problems) -> None:
    told = warnings_of(
        "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [AAPL MSFT, TSLA]}}\n"
        "alerts: [{symbol: AAPL MSFT, above: 1}, {symbols: [TSLA, AAPL  MSFT], above: 1}]\n",
        K="k",
    )
    asked = "a space inside a symbol: is a comma missing (AAPL, MSFT)?"
    assert [line.partition(": ")[2] for line in told if "comma" in line] == [
        f"feeds.us.symbols[0]: {asked}",
        f"alerts[0].symbol: {asked}",
        f"alerts[1].symbols[1]: {asked}",
    ]


@pytest.mark.parametrize(
    "instant",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
)
def test_a_time_at_the_end_of_time_is_an_error_at_its_place(problems_of: Problems, instant: str) -> None:
    """With an offset there is no such time; without one there is none where somebody else looks at it."""
    told = problems_of(f"alerts: [{{symbol: A, above: 1, expires: '{instant}'}}]")
    expected = "expected a time with its offset such as 2030-01-31T16:00:00-05:00 or null"
    assert told == [f"c.yaml:1:41: alerts[0].expires: {expected}, got '{instant}'"]
