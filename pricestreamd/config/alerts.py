"""The rules of the configured alerts, with the place of each that cannot be."""

from __future__ import annotations

from pricestreamd.config.load import Loaded
from pricestreamd.model.errors import ConfigError
from pricestreamd.stream.alert_rule import CONDITIONS, AlertError, AlertRule


def alert_rules(loaded: Loaded) -> list[AlertRule]:
    """The rules of the configuration's alerts. One whose conditions are all not built yet is left out: `load` told so.

    Raises:
        ConfigError: alerts with one identity, or that cannot be; every one of them.
    """
    rules: dict[str, AlertRule] = {}
    problems = []
    for index, alert in enumerate(loaded.settings.alerts):
        if all(getattr(alert, condition) is None for condition in CONDITIONS):
            continue
        key = f"alerts[{index}]"
        try:
            rule = AlertRule.from_settings(alert)
        except AlertError as exc:
            problems.append(loaded.problem(key, str(exc)))
            continue
        if rule.alert_id in rules:
            message = f"the same alert as an earlier one ({rule.alert_id}): give one of them another name"
            problems.append(loaded.problem(key, message))
        rules[rule.alert_id] = rule
    if problems:
        raise ConfigError(*problems)
    return list(rules.values())
