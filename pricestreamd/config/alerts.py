"""The rules of the configured alerts, and what is wrong with those that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricestreamd.config.shape import choose
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Document, Fault
from pricestreamd.stream.alert_rule import CONDITIONS, AlertError, AlertRule
from pricestreamd.stream.settings import AlertSettings

if TYPE_CHECKING:
    from pricestreamd.config.load import Loaded


def alert_rules(loaded: Loaded) -> list[AlertRule]:
    """The rules of a configuration's alerts, a list of one's own. It cannot fail: `load` made them."""
    return list(loaded.alert_rules)


def read_alerts(document: Document, path: str, folders: Folders) -> tuple[tuple[AlertRule, ...], list[Fault]]:
    """The rules of the alerts in `document`, the file at `path`, and a fault for each that cannot be.

    An alert that cannot be read is passed over, for its faults are told elsewhere; so is one whose conditions are all
    not built yet.
    """
    rules: dict[str, tuple[int, AlertRule]] = {}
    faults = []
    entries = document.data.get("alerts") if isinstance(document.data, Mapping) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        location = ("alerts", index)
        try:
            rule = _rule(entry, folders)
        except AlertError as exc:
            faults.append(Fault(location, str(exc)))
            continue
        if rule is None:
            continue
        first, other = rules.setdefault(rule.alert_id, (index, rule))
        # Of two with one name, the name is told of.
        if first != index and not (rule.name and rule.name == other.name):
            there = document.place(("alerts", first))
            message = f"the same alert as alerts[{first}] ({path}:{there.line}:{there.column})"
            faults.append(Fault(location, f"{message}: give one of them another name"))
    return tuple(rule for _, rule in rules.values()), faults


def _rule(entry: Any, folders: Folders) -> AlertRule | None:
    if choose((AlertSettings,), entry) is None:
        return None
    alert, _ = build(AlertSettings, entry, folders)
    if alert is None or all(getattr(alert, condition) is None for condition in CONDITIONS):
        return None
    return AlertRule.from_settings(alert)
