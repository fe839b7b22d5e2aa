"""Settings of sinks of other distributions: admitted when a file names their type, or the schema is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricestreamd.config.findings import mappings
from pricestreamd.config.shape import admit, word
from pricestreamd.config.validate import forget_schemas
from pricestreamd.config.yaml_text import Fault
from pricestreamd.sinks.plugins import OWN_TYPES, plugin, plugin_types, unusable
from pricestreamd.sinks.settings import AnySinkSettings, SinkSettings


def admit_plugins(data: Any) -> list[Fault]:
    """Let `data` be read with the sinks of other distributions that it names; what is wrong with those."""
    faults: list[Fault] = []
    for location, sink in mappings(data, "sinks") if isinstance(data, Mapping) else ():
        kind = word(sink, "type")
        if kind is None or kind in OWN_TYPES:
            continue
        try:
            settings = _settings_of(kind)
        except LookupError:
            continue  # told of with the types that there are
        except ValueError as exc:
            faults.append(Fault((*location, "type"), str(exc)))
        else:
            if admit(AnySinkSettings, settings):
                forget_schemas()
    return faults


def admit_installed() -> list[str]:
    """Let the schema have all that is installed, whose code is imported for it; what cannot be used is told of."""
    told: list[str] = []
    for kind in plugin_types():
        try:
            admit(AnySinkSettings, _settings_of(kind))
        except ValueError as exc:
            told.append(str(exc))
    return told


def _settings_of(kind: str) -> type[SinkSettings]:
    """As `plugin`; also a ValueError where a setting is of a type that no file can be read as."""
    from pricestreamd.config.schema import class_schema  # noqa: PLC0415 - needed by few files, and slow to import

    _, settings = plugin(kind)
    try:
        class_schema(settings)
    except KeyError as exc:
        text = f"{unusable(kind)}: its settings have a type that cannot be read from a file: {exc}"
        raise ValueError(text) from exc
    return settings
