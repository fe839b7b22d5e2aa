"""The tests of alerts in a configuration, run for `check`: what fails, each with its place in the file."""

from __future__ import annotations

from pricestreamd.config.load import Loaded
from pricestreamd.config.yaml_text import Location
from pricestreamd.model.errors import Problem
from pricestreamd.replay.alert_tests import AlertTester
from pricestreamd.replay.market_hours import ReplayHours


def failed_tests(loaded: Loaded) -> list[Problem]:
    """Run every test of `loaded`; what is wrong, in the order of the tests, and nothing where all pass."""
    settings = loaded.settings
    tester = AlertTester(settings.stream, loaded.alert_rules, ReplayHours(lambda: settings.feeds).of)
    problems = []
    for index, test in enumerate(settings.tests):
        for failure in tester.failures(test):
            place: Location = ("tests", index, "expect")
            if failure.expected is not None:
                place = (*place, failure.expected)
            there = loaded.document.place(place)
            title = f'tests[{index}] "{test.name}"'
            problems.append(Problem(str(loaded.path), there.line, there.column, title, failure.message))
    return problems
