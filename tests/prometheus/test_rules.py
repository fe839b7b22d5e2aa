"""The alerting rules: each fires, each is quiet, each says what to do, and none wakes anybody for a closed market."""

import functools
import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.integration.test_documents import anchors
from tests.prometheus.shipped import (
    OPERATIONS,
    PROMTOOL,
    RULES,
    RULES_TEST,
    SCRAPE,
    exposed,
    names_in,
    rules,
    wrong_labels,
)

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here (it comes with Prometheus)")
NAMES = [rule["alert"] for rule in rules()]


@functools.cache
def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES_TEST.read_text(encoding="utf-8"))["tests"]
    return found


def told(moment: dict[str, Any]) -> set[str]:
    """The rules that fire at a moment of a case."""
    return set(re.findall(r'alertname="(\w+)"', " ".join(row["labels"] for row in moment["exp_samples"])))


@needs_promtool
@pytest.mark.parametrize("what", [("rules", RULES), ("config", SCRAPE)])
def test_promtool_finds_nothing_wrong(what: tuple[str, object]) -> None:
    checked = subprocess.run([str(PROMTOOL), "check", *map(str, what)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_the_shipped_tests_of_the_rules_pass() -> None:
    ran = subprocess.run([str(PROMTOOL), "test", "rules", str(RULES_TEST)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr


@needs_promtool
def test_the_shipped_tests_find_a_rule_that_has_lost_its_market(tmp_path: Any) -> None:
    (tmp_path / "rules.yml").write_text(RULES.read_text().replace(" and pricestream_market_open == 1", ""))
    shipped = yaml.safe_load(RULES_TEST.read_text(encoding="utf-8"))
    shipped["tests"] = [case for case in shipped["tests"] if "closed" in case["name"]]
    (tmp_path / "rules_test.yml").write_text(yaml.safe_dump(shipped))
    command = [str(PROMTOOL), "test", "rules", str(tmp_path / "rules_test.yml")]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_fires_in_a_story_in_which_it_was_quiet_before(name: str) -> None:
    stories = [[told(moment) for moment in case["promql_expr_test"]] for case in cases()]
    assert any(name not in moments[0] and any(name in told for told in moments[1:]) for moments in stories)


def test_a_story_in_which_all_is_well_shows_every_rule_its_metric_and_wakes_nobody() -> None:
    (case,) = [case for case in cases() if case["name"].startswith("all is well")]
    shown = set().union(*(names_in(row["series"]) for row in case["input_series"]))
    for rule in rules():
        assert names_in(rule["expr"]) - {"pricestream_listener_seconds_count"} <= shown, rule["alert"]
    assert all(told(moment) == set() for moment in case["promql_expr_test"])


def test_a_closed_market_wakes_nobody() -> None:
    (case,) = [case for case in cases() if "closed" in case["name"]]
    assert all(told(moment) == set() for moment in case["promql_expr_test"])
    of_prices = [rule for rule in rules() if names_in(rule["expr"]) & {
        "pricestream_feed_healthy", "pricestream_feed_last_tick_timestamp_seconds", "pricestream_alerts_blind",
        "pricestream_symbols_stale", "pricestream_reconnects_total", "pricestream_events_total",
    }]  # fmt: skip
    assert len(of_prices) == 7
    for rule in of_prices:
        if rule["alert"] != "PriceStreamSymbolsMissing":  # of feeds that are well only
            assert re.search(r"pricestream_market_open\)? == 1", rule["expr"]), rule["alert"]


@pytest.mark.parametrize("rule", rules(), ids=NAMES)
def test_each_rule_asks_for_what_there_is_and_tells_what_to_do(rule: dict[str, Any]) -> None:
    assert names_in(rule["expr"]) and names_in(rule["expr"]) <= exposed().keys()
    assert wrong_labels(rule["expr"]) == set()
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "https://github.com/pricestreamd/pricestreamd/blob/main/docs/operations.md"
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(OPERATIONS)
    # What wakes somebody has lasted for a moment.
    if rule["labels"]["severity"] == "critical":
        assert rule["for"] in ("1m", "2m", "3m", "5m")


def test_no_two_rules_have_one_name() -> None:
    assert len(NAMES) == len(set(NAMES)) > 20
