"""Scenarios are found by name, listed, and do nothing that they do not say."""

from dataclasses import fields

import pytest

from pricestreamd.simulator.scenarios import SCENARIOS, STEADY, Scenario, UnknownScenario, find_scenario, listing

NEEDED = {"steady", "drop", "mute", "accept-then-close", "bad-key", "reject-some", "slow-ack", "reset"}


def test_the_scenarios_that_users_are_told_of_are_there() -> None:
    assert set(SCENARIOS) >= NEEDED


def test_steady_is_what_a_scenario_is_without_any_fault() -> None:
    assert Scenario(name="steady", summary=STEADY.summary) == STEADY


def test_every_other_scenario_has_a_fault() -> None:
    for scenario in SCENARIOS.values():
        faults = [
            field.name
            for field in fields(Scenario)
            if field.name not in ("name", "summary") and getattr(scenario, field.name) != getattr(STEADY, field.name)
        ]
        assert bool(faults) == (scenario is not STEADY), scenario.name


def test_the_listing_has_a_line_for_each() -> None:
    lines = listing().splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert all(scenario.summary in line for scenario, line in zip(SCENARIOS.values(), lines, strict=True))


def test_an_unknown_scenario_is_an_error_that_names_the_nearest_one() -> None:
    with pytest.raises(UnknownScenario, match="did you mean mute"):
        find_scenario("mutte")
    with pytest.raises(UnknownScenario, match="known: steady, drop"):
        find_scenario("?")


def test_a_scenario_is_found_by_its_name() -> None:
    assert find_scenario("drop") is SCENARIOS["drop"]
