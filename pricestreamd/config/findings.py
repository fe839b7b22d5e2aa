"""What the rules find, and how they look into the data of a file, where anything may be missing or malformed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pricestreamd.config.scalars import Scalar
from pricestreamd.config.yaml_text import Fault, Location

Mappings = list[tuple[Location, Mapping[str, Any]]]


@dataclass(slots=True)
class Findings:
    """What the rules found: faults that make the configuration unusable, and warnings."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def fault(self, location: Location, message: str, *, on_key: bool = False, absent: bool = False) -> None:
        """Add a fault."""
        self.faults.append(Fault(location, message, on_key=on_key, absent=absent))

    def warn(self, location: Location, message: str, *, on_key: bool = False) -> None:
        """Add a warning."""
        self.warnings.append(Fault(location, message, on_key=on_key))


def mappings(data: Mapping[str, Any], section: str) -> Mappings:
    """The entries of a section that are mappings, with their locations."""
    entries = data.get(section)
    pairs: Iterator[tuple[str | int, Any]]
    if isinstance(entries, Mapping):
        pairs = iter(entries.items())
    else:
        pairs = iter(enumerate(entries)) if isinstance(entries, list) else iter(())
    return [((section, key), entry) for key, entry in pairs if isinstance(entry, Mapping)]


def given(data: Mapping[str, Any], key: str) -> bool:
    """Whether a key is written with anything but null. What is broken counts: it is told of already."""
    value = data.get(key)
    return value is not None and not (isinstance(value, Scalar) and value.loose is None and not value.broken)


def words(data: Mapping[str, Any], key: str) -> list[tuple[int, Scalar]]:
    """The words of a list, with their positions."""
    entries = data.get(key)
    if not isinstance(entries, list):
        return []
    return [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Scalar) and entry.written]
