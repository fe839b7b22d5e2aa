"""`--what-if`: the alerts of a configuration with something about them changed, as `[ALERT.]SETTING=VALUE` says it.

A setting is one of an alert in the file, and its value is written as there. Without the name of an alert a modifier
changes them all, and a threshold those that have one of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pricestreamd.cli.words import UsageError
from pricestreamd.config.load import Loaded
from pricestreamd.config.shape import settings_of
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import YamlError, read_yaml
from pricestreamd.stream.alert_rule import CONDITIONS, AlertError, AlertRule
from pricestreamd.stream.settings import AlertSettings

_NOT_HERE = frozenset({"name", "symbol", "symbols", "notify"})
_KEYS = tuple(key for key in settings_of(AlertSettings) if key not in _NOT_HERE)


def changed_rules(changes: Iterable[str], loaded: Loaded | None) -> list[AlertRule]:
    """The alerts of `loaded` after `changes`, in their order, each under the id that it has without them.

    Raises:
        UsageError: a change that cannot be made.
    """
    rules = loaded.alert_rules if loaded is not None else ()
    if loaded is None or not rules:
        raise UsageError("--what-if changes alerts, and there are none in the configuration")
    alerts = {rule.alert_id: alert for rule, alert in zip(rules, loaded.settings.alerts, strict=True)}
    for change in changes:
        try:
            alerts |= _changed(change, alerts)
        except ValueError as exc:
            raise UsageError(f"--what-if {change}: {exc}") from exc
    # An alert without a name is identified by its conditions, which may be others now.
    return [replace(AlertRule.from_settings(alert), alert_id=alert_id) for alert_id, alert in alerts.items()]


def _changed(change: str, alerts: dict[str, AlertSettings]) -> dict[str, AlertSettings]:
    """Those of `alerts` that `change` is about, after it. Raises ValueError."""
    place, sign, text = change.partition("=")
    if not sign or not place:
        raise ValueError("expected SETTING=VALUE or ALERT.SETTING=VALUE, such as hysteresis=0.3%")
    name, _, key = place.rpartition(".")
    if name and name not in alerts:
        raise ValueError(f"no alert {name!r}{did_you_mean(name, alerts) or f'; there are {one_of(list(alerts)[:10])}'}")
    if key not in _KEYS:
        raise ValueError(f"no key {key!r} of alerts can be changed{did_you_mean(key, _KEYS) or f': {one_of(_KEYS)}'}")
    field = settings_of(AlertSettings)[key].name
    meant = {
        alert_id: alert for alert_id, alert in alerts.items() if name == alert_id or (not name and _has(alert, key))
    }
    if not meant:
        raise ValueError(f"no alert has {key}; name the one that is to get it: ALERT.{change}")
    value = _read(key, text)
    found = {}
    for alert_id, alert in meant.items():
        found[alert_id] = replace(alert, **{field: value})
        try:
            AlertRule.from_settings(found[alert_id])
        except AlertError as exc:
            raise ValueError(f"alert {alert_id}: {exc}") from exc
    return found


def _has(alert: AlertSettings, key: str) -> bool:
    """Whether a change of `key` that names no alert is about this one."""
    if key == "baseline":
        return alert.change_percent is not None
    return key not in CONDITIONS or getattr(alert, key) is not None


def _read(key: str, text: str) -> Any:
    """The value of `key` that `text` stands for in a file. Raises ValueError."""
    try:
        document = read_yaml(f"{key}: {text}\n".encode(), {})
    except YamlError as exc:
        raise ValueError(exc.message) from exc
    if document.faults or set(document.data) != {key}:
        raise ValueError(f"expected one value as in a configuration, got {text!r:.60}")
    settings, faults = build(AlertSettings, document.data, Folders(Path(), Path()))
    if settings is None:
        raise ValueError(faults[0].message)
    return getattr(settings, settings_of(AlertSettings)[key].name)
