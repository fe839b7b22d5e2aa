"""What an alert says: its conditions and its identity."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, Literal

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.settings import AlertSettings

ConditionKind = Literal["above", "below", "change_percent"]
CONDITIONS: tuple[ConditionKind, ...] = ("above", "below", "change_percent")
_REASON = {"above": "price_above", "below": "price_below", "change_percent": "change_percent"}
_NOT_CONDITIONS = frozenset({"name", "symbol", "symbols", "notify"})
_BUILT = frozenset({*CONDITIONS, "once"})
_MODIFIER_NAMES = {"hold_for": "for"}


class AlertError(PriceStreamError, ValueError):
    """An alert that cannot be: no condition, an unknown one, or a threshold that is no number."""


def exact(number: float) -> str:
    """`number` with at least two decimals and no digit lost: `200.00`, `0.00001234`."""
    text = format(Decimal(repr(float(number))), "f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """One condition of an alert. `text` is its identity: while it stays the same, its state is kept."""

    kind: ConditionKind
    threshold: float

    @property
    def reason(self) -> str:
        """The `alert_reason`, such as `price_above_200.00`."""
        return f"{_REASON[self.kind]}_{exact(self.threshold)}"

    @property
    def text(self) -> str:
        """What identifies the condition within its alert."""
        return f"{self.kind}:{exact(self.threshold)}"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert as it was set: for which symbols (keys or globs), on which conditions, once or again and again.

    `excluded` are keys that a glob matches and that were taken out. `written` is what a person wrote, without names.
    """

    alert_id: str
    name: str | None
    patterns: tuple[str, ...]
    conditions: tuple[ConditionRule, ...]
    once: bool
    notify: tuple[str, ...]
    written: Mapping[str, Any]
    source: Literal["yaml", "api"] = "yaml"
    excluded: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: AlertSettings, source: Literal["yaml", "api"] = "yaml") -> AlertRule:
        """The rule that `settings` describe.

        Raises:
            AlertError: no symbol, or no condition that can be evaluated.
        """
        patterns = tuple(symbol_key(symbol) for symbol in (settings.symbol or "", *settings.symbols) if symbol.strip())
        conditions = tuple(_conditions(settings))
        if not patterns:
            raise AlertError("an alert needs a symbol")
        if not conditions:
            raise AlertError(f"the alert on {patterns[0]} needs a condition: {', '.join(CONDITIONS)}")
        canonical = json.dumps([patterns, sorted(condition.text for condition in conditions)])
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        return cls(
            alert_id=settings.name or f"{patterns[0]}-{digest}",
            name=settings.name,
            patterns=patterns,
            conditions=conditions,
            once=settings.once,
            notify=tuple(settings.notify),
            written=_written(settings),
            source=source,
        )

    @classmethod
    def from_mapping(cls, symbol: str, conditions: Mapping[str, Any]) -> AlertRule:
        """The rule of `set_alert(symbol, above=..., once=...)`.

        Raises:
            AlertError: an unknown name (with the nearest known one), or a value of the wrong kind.
        """
        known = {_MODIFIER_NAMES.get(field.name, field.name) for field in fields(AlertSettings)} - {"symbol", "symbols"}
        for name in conditions:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f": did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
                raise AlertError(f"unknown alert condition {name!r}{hint}")
        if not isinstance(conditions.get("once", False), bool):
            raise AlertError(f"once: expected True or False, got {conditions['once']!r}")
        if not isinstance(conditions.get("name", ""), str | None):
            raise AlertError(f"name: expected a text, got {conditions['name']!r}")
        renamed = {("hold_for" if name == "for" else name): value for name, value in conditions.items()}
        notify = renamed.get("notify") or ()
        renamed["notify"] = (notify,) if isinstance(notify, str) else tuple(notify)
        return cls.from_settings(AlertSettings(symbol=symbol, **renamed), source="api")

    @property
    def ignored(self) -> tuple[str, ...]:
        """What was written and does nothing in this version, under the names of the YAML."""
        return tuple(name for name in self.written if name not in _BUILT)

    def without(self, symbol: str) -> AlertRule | None:
        """The rule for its other symbols; None where it names no other. A glob stays, and leaves out this symbol."""
        key = symbol_key(symbol)
        others = tuple(pattern for pattern in self.patterns if pattern != key)
        left_out = (key,) if any(_matches(key, pattern) for pattern in others) else ()
        return replace(self, patterns=others, excluded=(*self.excluded, *left_out)) if others else None

    def covers(self, symbol: str) -> bool:
        """Whether `symbol` is named, or matched by a glob, ignoring case."""
        key = symbol_key(symbol)
        return key not in self.excluded and any(_matches(key, pattern) for pattern in self.patterns)


def _matches(key: str, pattern: str) -> bool:
    return key == pattern or fnmatch.fnmatchcase(key, pattern)


def _conditions(settings: AlertSettings) -> list[ConditionRule]:
    rules = []
    for kind in CONDITIONS:
        threshold = getattr(settings, kind)
        if threshold is None:
            continue
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold < math.inf:
            raise AlertError(f"{kind}: expected a positive number, got {threshold!r}")
        rules.append(ConditionRule(kind, float(threshold)))
    return rules


def _written(settings: AlertSettings) -> dict[str, Any]:
    """The conditions and modifiers that differ from their defaults, under the names of the YAML."""
    return {
        _MODIFIER_NAMES.get(field.name, field.name): value
        for field in fields(settings)
        if field.name not in _NOT_CONDITIONS and (value := getattr(settings, field.name)) != field.default
    }
