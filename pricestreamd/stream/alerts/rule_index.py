"""All alerts by their ids, and which of them cover a symbol, without asking each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pricestreamd.stream.alert_rule import AlertRule, is_glob


class RuleIndex:
    """The alerts in the order in which they were set first. One set again keeps its place.

    `expiring` are the times, in epoch seconds, at which those end that do.
    """

    def __init__(self) -> None:
        self._rules: dict[str, AlertRule] = {}
        self._places: dict[str, int] = {}
        self._numbers = itertools.count()
        # Those that name a symbol, by that, and those with a glob, which may match any.
        self._naming: dict[str, dict[str, None]] = {}
        self._globs: dict[str, None] = {}
        self.expiring: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def __iter__(self) -> Iterator[AlertRule]:
        return iter(self._rules.values())

    def get(self, alert_id: str) -> AlertRule | None:
        """The alert of this id."""
        return self._rules.get(alert_id)

    def place(self, alert_id: str) -> int:
        """The turn of the alert of this id, which is there, among the others."""
        return self._places[alert_id]

    def put(self, rule: AlertRule) -> None:
        """Add `rule`, in the place of the one with its id."""
        alert_id = rule.alert_id
        self._forget(alert_id)
        if alert_id not in self._places:
            self._places[alert_id] = next(self._numbers)
        self._rules[alert_id] = rule
        for pattern in rule.patterns:
            if is_glob(pattern):
                self._globs[alert_id] = None
            else:
                self._naming.setdefault(pattern, {})[alert_id] = None
        if rule.expires is not None:
            self.expiring[alert_id] = rule.expires

    def remove(self, alert_id: str) -> None:
        """Take the alert out; it is there."""
        self._forget(alert_id)
        del self._rules[alert_id], self._places[alert_id]

    def _forget(self, alert_id: str) -> None:
        rule = self._rules.get(alert_id)
        for pattern in rule.patterns if rule is not None else ():
            named = self._naming.get(pattern, {})
            named.pop(alert_id, None)
            if not named:
                self._naming.pop(pattern, None)
        self._globs.pop(alert_id, None)
        self.expiring.pop(alert_id, None)

    def covering(self, key: str) -> list[AlertRule]:
        """The alerts that cover the symbol of this compared form."""
        wanted = sorted({*self._naming.get(key, ()), *self._globs}, key=self._places.__getitem__)
        return [rule for rule in map(self._rules.__getitem__, wanted) if rule.covers(key)]
