"""The rules of the configured alerts."""

from pricestreamd.config.alerts import alert_rules
from tests.unit.config.conftest import Load, Problems


def test_each_alert_is_a_rule(load_text: Load) -> None:
    loaded = load_text("alerts: [{name: a, symbol: A, above: 1}, {symbols: [B, C*], change_percent: 5%}]")
    first, second = loaded.alert_rules
    assert first.alert_id == "a"
    assert second.alert_id.startswith("B-")
    assert second.covers("c1")
    assert alert_rules(loaded) == [first, second]


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


def test_an_alert_of_conditions_that_are_not_built_is_left_out(load_text: Load) -> None:
    loaded = load_text("alerts: [{symbol: A, trailing_percent: 5}, {symbol: A, above: 1}]")
    assert len(loaded.alert_rules) == 1
    assert [warning.key for warning in loaded.warnings] == ["alerts[0].trailing_percent"]
