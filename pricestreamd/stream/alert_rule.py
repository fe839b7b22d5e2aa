"""What an alert says: its conditions, when they may fire, and its identity."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.alerts.schedule import active_hours
from pricestreamd.stream.alerts.words import READERS, shown
from pricestreamd.stream.settings import ActiveSettings, AlertSettings

ConditionKind = Literal["above", "below", "change_percent", "trailing_percent", "day_volume_above", "trade_size_above"]
CONDITIONS: tuple[ConditionKind, ...] = (
    "above",
    "below",
    "change_percent",
    "trailing_percent",
    "day_volume_above",
    "trade_size_above",
)
VOLUMES = frozenset({"day_volume_above", "trade_size_above"})
_REASON = {"above": "price_above", "below": "price_below", "trailing_percent": "trailing"}
_NOT_CONDITIONS = frozenset({"name", "symbol", "symbols", "notify"})
_MODIFIER_NAMES = {"hold_for": "for"}

Baseline = float | Literal["armed", "previous", "open", "close"]


class AlertError(PriceStreamError, ValueError):
    """An alert that cannot be: no condition, an unknown one, or a value that makes no sense.

    `key` is the name in the file of what is wrong, where it is one.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def exact(number: float) -> str:
    """`number` with at least two decimals and no digit lost: `200.00`, `0.00001234`."""
    text = format(Decimal(repr(float(number))), "f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """One condition of an alert. `text` is its identity: while it stays the same, its state is kept.

    `baseline` is what a move is measured from, in seconds where it is a duration.
    """

    kind: ConditionKind
    threshold: float
    baseline: Baseline = "armed"

    @property
    def reason(self) -> str:
        """The `alert_reason`, such as `price_above_200.00`."""
        return f"{_REASON.get(self.kind, self.kind)}_{exact(self.threshold)}"

    @property
    def text(self) -> str:
        """What identifies the condition within its alert."""
        baseline = self.baseline if isinstance(self.baseline, str) else f"{self.baseline:.15g}s"
        return f"{self.kind}:{exact(self.threshold)}" + ("" if baseline == "armed" else f"@{baseline}")

    def back(self, hysteresis: float) -> float:
        """How far the value has to move back before the condition can fire again; `hysteresis` in per cent.

        For prices and volumes it is a share of the threshold, for moves it is percentage points. Decimal, because the
        price that a person works out must be enough.
        """
        threshold, share = Decimal(repr(abs(self.threshold))), Decimal(repr(hysteresis))
        if self.kind == "below":
            return max(math.nextafter(self.threshold, math.inf), float(threshold * (100 + share) / 100))
        moved = threshold - share if self.kind.endswith("percent") else threshold * (100 - share) / 100
        return min(math.nextafter(abs(self.threshold), 0.0), float(moved))


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert as it was set: for which symbols (keys or globs), on which conditions, and when it may fire.

    `excluded` are keys that a glob matches and that were taken out. `written` is what a person wrote, without names, as
    plain values. `together`: all conditions make one. Times in seconds, `expires` in epoch seconds, `hysteresis` in per
    cent.
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
    together: bool = False
    every_update: bool = False
    require_cross: bool = False
    hysteresis: float = 0.0
    cooldown: float = 0.0
    hold_for: float = 0.0
    expires: float | None = None
    active: ActiveSettings | None = None
    session: Literal["any", "regular", "extended"] = "any"
    tells_blind: bool = False

    @classmethod
    def from_settings(cls, settings: AlertSettings, source: Literal["yaml", "api"] = "yaml") -> AlertRule:
        """The rule that `settings` describe.

        Raises:
            AlertError: no symbol, no condition, or a value that makes no sense.
        """
        named = (settings.symbol or "", *settings.symbols)
        patterns = tuple(dict.fromkeys(symbol_key(symbol) for symbol in named if symbol.strip()))
        conditions = tuple(_conditions(settings))
        if not patterns:
            raise AlertError("an alert needs a symbol")
        if not conditions:
            raise AlertError(f"the alert on {patterns[0]} needs a condition: {', '.join(CONDITIONS)}")
        _check(settings, conditions)
        together = settings.when == "all" and len(conditions) > 1
        texts = [condition.text for condition in conditions]
        canonical = json.dumps([patterns, ["+".join(texts)] if together else sorted(texts)])
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
            together=together,
            every_update=settings.trigger == "every_update",
            require_cross=settings.on_start == "require_cross",
            hysteresis=float(settings.hysteresis),
            cooldown=float(settings.cooldown),
            hold_for=float(settings.hold_for),
            expires=settings.expires.timestamp() if settings.expires is not None else None,
            active=settings.active,
            session=settings.session,
            tells_blind=settings.on_blind == "notify",
        )

    @classmethod
    def from_mapping(cls, symbol: str, conditions: Mapping[str, Any]) -> AlertRule:
        """The rule of `set_alert(symbol, above=..., once=...)`, or of the same as JSON.

        Names are those of the file. Durations are seconds or texts such as `10m`, percentages numbers or `0.3%`.

        Raises:
            AlertError: an unknown name (with the nearest known one), or a value of the wrong kind.
        """
        read: dict[str, Any] = {}
        for name, value in conditions.items():
            reader = READERS.get(name)
            if reader is None:
                near = difflib.get_close_matches(name, READERS, 1)
                hint = f": did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(READERS))}"
                raise AlertError(f"unknown alert condition {shown(name)}{hint}")
            # What may be absent may also be None, as in a file.
            if value is None and name not in ("once", "when", "trigger", "on_start", "session", "on_blind"):
                continue
            try:
                read["hold_for" if name == "for" else name] = reader(value)
            except ValueError as exc:
                raise AlertError(f"{name}: {exc}", name) from exc
        return cls.from_settings(AlertSettings(symbol=symbol, **read), source="api")

    @property
    def triggers(self) -> tuple[tuple[ConditionRule, ...], ...]:
        """What fires by itself: each condition, or all of them together."""
        return (self.conditions,) if self.together else tuple((condition,) for condition in self.conditions)

    @property
    def needs_hours(self) -> bool:
        """Whether market hours matter to it."""
        return self.session != "any" or any(condition.baseline in ("open", "close") for condition in self.conditions)

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


def is_glob(pattern: str) -> bool:
    """Whether a pattern may match more than the symbol that it spells."""
    return any(sign in pattern for sign in "*?[")


def _matches(key: str, pattern: str) -> bool:
    return key == pattern or fnmatch.fnmatchcase(key, pattern)


def _conditions(settings: AlertSettings) -> list[ConditionRule]:
    rules = []
    for kind in CONDITIONS:
        threshold = getattr(settings, kind)
        if threshold is None:
            continue
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if kind == "trailing_percent":
            if not number or not -math.inf < threshold < 100 or not threshold:
                what = "a percentage below the highest price (less than 100), or negative: above the lowest"
                raise AlertError(f"{kind}: expected {what}, got {shown(threshold)}", kind)
        elif not number or not 0 < threshold < math.inf:
            raise AlertError(f"{kind}: expected a positive number, got {shown(threshold)}", kind)
        baseline: Baseline = "armed"
        if kind == "change_percent":
            baseline = settings.baseline if isinstance(settings.baseline, str) else float(settings.baseline)
        rules.append(ConditionRule(kind, float(threshold), baseline))
    return rules


def _check(settings: AlertSettings, conditions: tuple[ConditionRule, ...]) -> None:
    """Whether the modifiers make sense, by themselves and with the conditions."""
    for key, value in (
        ("hysteresis", settings.hysteresis),
        ("cooldown", settings.cooldown),
        ("for", settings.hold_for),
    ):
        if not 0 <= value < math.inf:
            raise AlertError(f"{key}: expected 0 or more, got {shown(value)}", key)
    if not isinstance(settings.baseline, str) and not 0 < settings.baseline < math.inf:
        raise AlertError(f"baseline: expected a duration above 0, got {shown(settings.baseline)}", "baseline")
    for condition in conditions:
        # A firing is the next baseline of a move since armed: it is at 0 then, whatever the hysteresis.
        since_armed = condition.kind == "change_percent" and condition.baseline == "armed"
        if condition.kind != "below" and not since_armed and condition.back(settings.hysteresis) <= 0:
            most = exact(abs(condition.threshold) if condition.kind.endswith("percent") else 100)
            message = f"{condition.kind} could never fire again: expected less than {most} per cent"
            raise AlertError(f"hysteresis: {message}, got {shown(settings.hysteresis)}", "hysteresis")
    if settings.active is not None:
        try:
            active_hours(settings.active)
        except ValueError as exc:
            raise AlertError(f"active: {exc}", "active") from exc


def _written(settings: AlertSettings) -> dict[str, Any]:
    """The conditions and modifiers that differ from their defaults, under the names of the YAML."""
    return {
        _MODIFIER_NAMES.get(field.name, field.name): _plain(value)
        for field in fields(settings)
        if field.name not in _NOT_CONDITIONS and (value := getattr(settings, field.name)) != field.default
    }


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, ActiveSettings):
        start, end = (clock.isoformat("seconds" if clock.second else "minutes") for clock in (value.start, value.end))
        return {"days": value.days, "from": start, "to": end, "timezone": value.timezone}
    return value
