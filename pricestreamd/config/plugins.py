"""Settings of sinks that other distributions bring: admitted when a file names their type, before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricestreamd.config.findings import mappings
from pricestreamd.config.shape import admit, word
from pricestreamd.config.validate import forget_schemas
from pricestreamd.config.yaml_text import Fault
from pricestreamd.sinks.plugins import OWN_TYPES, plugin
from pricestreamd.sinks.settings import AnySinkSettings


def admit_plugins(data: Any) -> list[Fault]:
    """Let `data` be read with the sinks of other distributions that it names; what is wrong with those."""
    faults: list[Fault] = []
    for location, sink in mappings(data, "sinks") if isinstance(data, Mapping) else ():
        kind = word(sink, "type")
        if kind is None or kind in OWN_TYPES:
            continue
        try:
            _, settings = plugin(kind)
        except LookupError:
            continue  # told of with the types that there are
        except ValueError as exc:
            faults.append(Fault((*location, "type"), str(exc)))
        else:
            if admit(AnySinkSettings, settings):
                forget_schemas()
    return faults
