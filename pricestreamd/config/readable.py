"""What is left of a file's data without that which is wrong with it: enough to look for warnings all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pricestreamd.config.settings import Settings
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import MAX_DEPTH, Location

# A key that is missing takes its owner with it, which may be a key that is needed in turn.
_ROUNDS = MAX_DEPTH


def readable(data: Any, wrong: Iterable[Location], folders: Folders) -> tuple[Any, Settings] | None:
    """`data` without the keys that are `wrong` or that settings cannot be made of, and the settings made of the rest.

    None where nothing can be made of it.
    """
    for _ in range(_ROUNDS):
        for location in sorted(set(wrong), key=len, reverse=True):
            data = _without(data, location)
        settings, faults = build(Settings, data, folders)
        if settings is not None:
            return data, settings
        wrong = [fault.location for fault in faults]
    return None


def _without(data: Any, location: Location) -> Any:
    """A copy of `data` without the key at `location`, or without the nearest key around it where there is none."""
    keys = [index for index, part in enumerate(location) if isinstance(part, str)]
    depth = keys[-1] if keys else 0
    while keys and not _has(data, location[: depth + 1]):
        keys.pop()
        depth = keys[-1] if keys else 0
    return _cut(data, location[: depth + 1]) if keys else data


def _has(data: Any, location: Location) -> bool:
    for part in location:
        known = range(len(data)) if isinstance(data, list) else data if isinstance(data, Mapping) else ()
        if part not in known:
            return False
        data = data[part]
    return True


def _cut(data: Any, location: Location) -> Any:
    head, rest = location[0], location[1:]
    if isinstance(data, list):
        return [_cut(entry, rest) if index == head else entry for index, entry in enumerate(data)]
    if rest:
        return {key: _cut(entry, rest) if key == head else entry for key, entry in data.items()}
    return {key: entry for key, entry in data.items() if key != head}
