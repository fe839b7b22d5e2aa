"""Scenarios are found by name, combined, listed, and do nothing that they do not say."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.simulator.scenarios import (
    SCENARIOS,
    STEADY,
    Scenario,
    ScenarioConflict,
    ScenarioValue,
    UnknownScenario,
    combine,
    find_scenario,
    listing,
    rows,
)

NEEDED = {
    *("steady", "drop", "mute", "accept-then-close", "bad-key", "reject-some", "slow-ack", "reset", "goodbye", "terse"),
    *("black-hole", "no-ack", "forbidden", "bad-request", "bad-key-in-band", "too-many-requests", "unavailable"),
    *("kill-oldest", "kill-newest", "kill-both", "refuse-newest", "over-cap", "error-some", "silent-some"),
    *("partial-ack", "null-lists", "ack-after-data", "duplicates", "out-of-order", "equal-times", "missing-fields"),
    *("text-prices", "number-prices", "trailing-zeros", "big-frame", "batch", "split", "fragmented"),
    *("ping-only-then-mute", "pings-stop", "no-pong", "half-open", "close-1000", "close-1001", "close-1006"),
    *("close-1008", "close-1011", "close-1012", "close-1013", "with-reason", "refuse", "retry-after", "slow-reader"),
    *("lifetime", "server-shutdown", "unknown-events", "extra-keys", "not-json", "binary", "not-finite"),
    *("not-positive", "bad-prints", "burst", "delayed", "gaps", "accept-then-drop", "chaos"),
}
ABOUT = ("name", "summary", "group", "value")


def said(scenario: Scenario) -> dict[str, Any]:
    names = [field.name for field in fields(Scenario) if field.name not in ABOUT]
    return {name: getattr(scenario, name) for name in names if getattr(scenario, name) != getattr(STEADY, name)}


def test_the_scenarios_that_users_are_told_of_are_there() -> None:
    assert set(SCENARIOS) >= NEEDED


def test_steady_is_what_a_scenario_is_without_any_fault() -> None:
    assert Scenario(name="steady", summary=STEADY.summary) == STEADY


def test_every_other_scenario_has_a_fault_and_a_group_and_no_two_are_the_same() -> None:
    for scenario in SCENARIOS.values():
        assert bool(said(scenario)) == bool(scenario.group) == (scenario is not STEADY), scenario.name
    distinct = {str(sorted(said(scenario).items(), key=str)) for scenario in SCENARIOS.values()}
    assert len(distinct) == len(SCENARIOS) - 2  # 1006 is how a client sees `drop`, and 1001 is `goodbye`


def test_the_listing_has_a_line_for_each_and_the_groups_are_together() -> None:
    lines = listing().splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert all(scenario.summary in line for scenario, line in zip(SCENARIOS.values(), lines, strict=True))
    groups = [row.get("group", "") for row in rows()]
    assert groups == sorted(groups, key=groups.index)


def test_the_value_that_is_listed_is_the_one_it_has_without() -> None:
    for row in rows():
        if "value" in row:
            assert said(find_scenario(f"{row['name']}:{row['value']}")) == said(SCENARIOS[row["name"]]), row


def test_an_unknown_scenario_is_an_error_that_names_the_nearest_one() -> None:
    with pytest.raises(UnknownScenario, match="did you mean mute"):
        find_scenario("mutte")
    with pytest.raises(UnknownScenario, match="known: steady, drop"):
        find_scenario("?")
    with pytest.raises(UnknownScenario) as caught:
        find_scenario("drop+mutte:3s")
    assert caught.value.name == "mutte"


def test_a_scenario_is_found_by_its_name() -> None:
    assert find_scenario("drop") is SCENARIOS["drop"]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("drop:3s", "ends_after", 3.0),
        ("drop:250ms", "ends_after", 0.25),
        ("lifetime:2m", "lifetime", 120.0),
        ("delayed:1h", "lag", 3600.0),
        ("mute:0s", "mute_after", 0.0),
        ("mute:5", "mute_after", 5.0),
        ("refuse:404", "refuse_status", 404),
        ("kill-oldest:2", "crowd", 2),
        ("duplicates:5", "repeats", 5),
        ("big-frame:64MiB", "noise_bytes", 64 << 20),
        ("big-frame:5MB", "noise_bytes", 5_000_000),
        ("bad-prints:25%", "jump_percent", 25.0),
        ("bad-prints:2.5", "jump_percent", 2.5),
        ("hurry:1000", "hurry", 1000.0),
        ("retry-after:-5", "retry_after", "-5"),
        ("retry-after:Wed, 21 Oct 2015 07:28:00 GMT", "retry_after", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("with-reason:bad api key", "close_reason", "bad api key"),
        ("chaos:500ms", "chaos_every", 0.5),
    ],
)
def test_a_value_takes_the_place_of_the_usual_one(text: str, field: str, value: object) -> None:
    found = find_scenario(text)
    assert getattr(found, field) == value
    assert found.name == text
    assert text.partition(":")[2] in found.summary


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("drop:soon", "the scenario drop takes a duration such as 30s, got 'soon'"),
        ("drop:-1s", "a duration"),
        ("drop:5MB", "a duration"),
        ("drop:inf", "a duration"),
        ("drop:", "a duration"),
        ("refuse:4.5", "a whole number above 0, got '4.5'"),
        ("duplicates:0", "a whole number above 0"),
        ("big-frame:5s", "a size such as 5MB"),
        ("hurry:fast", "a number above 0"),
        ("bad-key:3", "the scenario bad-key takes no value, got '3'"),
    ],
)
def test_a_value_that_cannot_be_is_an_error_that_says_what_can(text: str, told: str) -> None:
    with pytest.raises(ScenarioValue, match=told):
        find_scenario(text)


def test_combined_scenarios_do_what_each_of_them_does() -> None:
    found = find_scenario("drop:3s + reject-some+terse")
    assert said(found) == {"ends_after": 3.0, "reject_every": 3, "terse": True}
    assert found.name == "drop:3s+reject-some+terse"
    assert SCENARIOS["terse"].summary in found.summary


def test_sets_of_faults_are_united() -> None:
    found = find_scenario("not-finite+not-positive+binary+not-json")
    assert found.odd_prices > SCENARIOS["not-finite"].odd_prices
    assert found.noise == {"binary", "text", "empty", "bom"}


@pytest.mark.parametrize(
    ("text", "first", "second", "what"),
    [
        ("drop+reset", "drop", "reset", "ends after"),
        ("drop+reset:10s", "drop", "reset:10s", "ends after"),
        ("mute+slow-ack+black-hole", "mute", "black-hole", "mute after"),
        ("bad-key+unavailable", "bad-key", "unavailable", "refuse status"),
        ("slow-ack+no-ack", "slow-ack", "no-ack", "ack delay"),
        ("text-prices+trailing-zeros", "text-prices", "trailing-zeros", "price form"),
        ("kill-oldest+kill-both", "kill-oldest", "kill-both", "crowd"),
        ("terse+terse", "terse", "terse", "terse"),
    ],
)
def test_two_that_speak_of_the_same_thing_are_a_conflict_that_names_both(
    text: str, first: str, second: str, what: str
) -> None:
    with pytest.raises(ScenarioConflict) as caught:
        find_scenario(text)
    assert f"the scenarios {first} and {second} cannot be combined: both set {what!r}" in str(caught.value)


@given(st.lists(st.sampled_from(list(SCENARIOS.values())), min_size=1, max_size=4))
def test_a_combination_is_a_conflict_or_the_sum_in_any_order(chosen: list[Scenario]) -> None:
    try:
        whole = combine(chosen)
    except ScenarioConflict:
        with pytest.raises(ScenarioConflict):
            combine(chosen[::-1])
        return
    assert said(combine(chosen[::-1])) == said(whole)
    assert set(said(whole)) == {name for scenario in chosen for name in said(scenario)}


def test_a_scenario_of_ones_own_is_a_record() -> None:
    own = replace(STEADY, name="mine", ends_after=1.0, ending="close", close_code=4000, close_reason="because")
    assert combine([own, SCENARIOS["terse"]]).close_reason == "because"
