"""The rules of the configured alerts."""

import pytest

from pricestreamd.config.alerts import alert_rules
from pricestreamd.model.errors import ConfigError
from tests.unit.config.conftest import Load


def test_each_alert_is_a_rule(load_text: Load) -> None:
    rules = alert_rules(load_text("alerts: [{name: a, symbol: A, above: 1}, {symbols: [B, C*], change_percent: 5%}]"))
    assert rules[0].alert_id == "a"
    assert rules[1].alert_id.startswith("B-")
    assert rules[1].covers("c1")


def test_two_alerts_that_are_the_same_are_told_with_their_place(load_text: Load) -> None:
    text = "alerts:\n  - {symbol: A, above: 1}\n  - {symbol: B, above: 1}\n  - {symbol: a, above: 1.0, notify: [log]}\n"
    loaded = load_text(text)
    with pytest.raises(ConfigError) as raised:
        alert_rules(loaded)
    (problem,) = raised.value.problems
    assert (problem.line, problem.column, problem.key) == (4, 5, "alerts[2]")


def test_an_alert_of_conditions_that_are_not_built_is_left_out(load_text: Load) -> None:
    loaded = load_text("alerts: [{symbol: A, trailing_percent: 5}, {symbol: A, above: 1}]")
    assert len(alert_rules(loaded)) == 1
    assert [warning.key for warning in loaded.warnings] == ["alerts[0].trailing_percent"]
