"""The configuration in force, as whoever asks over HTTP may see it: every key, and no secret.

It looks as it would stand in a file, defaults included: durations and sizes as texts (`30s`, `4MiB`), per cent as
numbers, paths as they were resolved. A secret is `***`; of an address that holds one, what is left without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime, time
from typing import Any

from pricestreamd.config.plan import AT_START
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import arms, is_list, is_mapping, item, settings_of, unwrapped
from pricestreamd.config.units import show_duration, show_size
from pricestreamd.model.secret import MASK, Secret, redact
from pricestreamd.model.secret_address import masked_address
from pricestreamd.model.units import Unit


def masked(settings: Settings) -> dict[str, Any]:
    """`settings` as JSON-like data under the keys of the file. What holds no secret reads back as the same."""
    return _section(settings)


def in_force(now: Settings, at_start: Settings) -> dict[str, Any]:
    """What `masked` tells of the settings of `now`, but of those that are read once only, as they were `at_start`."""
    told, before = masked(now), masked(at_start)
    for key in AT_START:
        section, _, name = key.partition(".")
        if name:
            told[section][name] = before[section][name]
        else:
            told[section] = before[section]
    return told


def _section(settings: Any) -> dict[str, Any]:
    return {
        key: _written(getattr(settings, setting.name), setting.hint, setting.metadata)
        for key, setting in settings_of(settings.__class__).items()
    }


def _written(value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """The value of a setting of the type `hint` as a file would have it."""
    if is_dataclass(value):
        return _section(value)
    if isinstance(value, Mapping):
        inner = next((item(arm) for arm in arms(hint) if is_mapping(arm)), Any)
        return {redact(name): _written(entry, inner, metadata) for name, entry in value.items()}
    if isinstance(value, tuple):
        inner = next((item(arm) for arm in arms(hint) if is_list(arm)), Any)
        return [_written(entry, inner, metadata) for entry in value]
    if isinstance(value, Secret):
        return masked_address(value.reveal(), secret=True) if metadata.get("secret") == "url" else MASK
    return _word(value, hint, metadata)


def _word(value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value, hint)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, time):
        return value.isoformat("seconds" if value.second else "minutes")
    return masked_address(value, secret=False) if metadata.get("secret") == "address" else redact(str(value))


def _number(value: float, hint: Any) -> float | str:
    units = {note.kind for arm in arms(hint) for note in unwrapped(arm)[1] if isinstance(note, Unit)}
    if units & {"duration", "delay"}:
        return show_duration(value)
    return show_size(int(value)) if "size" in units else value
