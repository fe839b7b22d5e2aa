"""Scenarios by their names, alone, with a value, and combined: `drop`, `drop:3s`, `drop:3s+reject-some`."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

from pricestreamd.simulator.scenario import Ending, Scenario, ScenarioConflict, combine
from pricestreamd.simulator.scenario_list import CLOSE_REASONS, SCENARIOS, STEADY

__all__ = [
    "CLOSE_REASONS",
    "SCENARIOS",
    "STEADY",
    "Ending",
    "Scenario",
    "ScenarioConflict",
    "ScenarioValue",
    "UnknownScenario",
    "combine",
    "find_scenario",
    "listing",
    "rows",
]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"KB": 1000, "MB": 1_000_000, "KiB": 1024, "MiB": 1 << 20}
_PLAIN_NUMBERS = ("jump_percent", "hurry")


class UnknownScenario(ValueError):  # noqa: N818 - it reads better where it is caught
    """There is no scenario of that name. `name` is the part that is not known."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class ScenarioValue(ValueError):  # noqa: N818 - as above
    """A scenario takes no value, or not this one."""


def find_scenario(text: str) -> Scenario:
    """The scenario that `text` names, such as `drop:3s+reject-some`.

    Raises:
        UnknownScenario: a name is unknown; the message names the nearest one, or all.
        ScenarioValue: a value cannot be.
        ScenarioConflict: two say something about the same thing.
    """
    return combine([_one(part.strip()) for part in text.split("+")])


def _one(text: str) -> Scenario:
    name, colon, value = text.partition(":")
    found = SCENARIOS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, SCENARIOS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(SCENARIOS)}"
        raise UnknownScenario(f"unknown scenario {name!r}: {hint}", name)
    if not colon:
        return found
    if found.value is None:
        raise ScenarioValue(f"the scenario {name} takes no value, got {value!r}")
    summary = f"{found.summary} [{value}]"
    return replace(found, name=text, summary=summary, **{found.value: _read(found, value)})


def _read(scenario: Scenario, text: str) -> Any:
    """The value of the kind that the scenario has without one."""
    usual = getattr(scenario, scenario.value or "")
    if isinstance(usual, str):
        return text
    units: dict[str, float] = {}
    if scenario.value == "noise_bytes":
        units, kind = dict(_BYTES), "a size such as 5MB"
    elif isinstance(usual, int):
        kind = "a whole number above 0"
    elif scenario.value in _PLAIN_NUMBERS:
        kind = "a number above 0"
    else:
        units, kind = _SECONDS, "a duration such as 30s"
    text = text.removesuffix("%") if scenario.value == "jump_percent" else text
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :]
    try:
        read = float(number) * (units[unit] if unit else 1.0)
    except (ValueError, KeyError):
        read = -1.0
    if isinstance(usual, float) and kind.startswith("a duration") and read >= 0:
        return read
    if not 0 < read < float("inf") or (isinstance(usual, int) and read != int(read)):
        raise ScenarioValue(f"the scenario {scenario.name} takes {kind}, got {text!r}")
    return int(read) if isinstance(usual, int) else read


def rows() -> list[dict[str, str]]:
    """All scenarios as `--list-scenarios --json` prints them.

    `name`, `summary`; `group`, but for the steady one; `value`, where it takes one: what it is without.
    """
    listed = []
    for known in SCENARIOS.values():
        row = {"name": known.name, "summary": known.summary}
        if known.group:
            row["group"] = known.group
        if known.value is not None:
            row["value"] = _shown(known)
        listed.append(row)
    return listed


def listing() -> str:
    """All scenarios as `--list-scenarios` prints them: name, group, the value it has without one, what it does."""
    table = [(row["name"], row.get("group", ""), row.get("value", ""), row["summary"]) for row in rows()]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)][:3]
    return "\n".join(
        "  ".join([*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]) for row in table
    )


def _shown(scenario: Scenario) -> str:
    """The value of a scenario as it would be written."""
    value = getattr(scenario, scenario.value or "")
    if not isinstance(value, float) or scenario.value in _PLAIN_NUMBERS:
        return f"{value:g}" if isinstance(value, float) else str(value)
    unit, seconds = next((name, size) for name, size in reversed(_SECONDS.items()) if value >= size or name == "s")
    return f"{value / seconds:g}{unit}"
