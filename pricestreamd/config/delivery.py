"""What sinks and listeners demand of a file: a path for each sink, and events that there are."""

from __future__ import annotations

import os

from pricestreamd.config.findings import Findings, mappings, words
from pricestreamd.config.scalars import Scalar, describe
from pricestreamd.config.shape import word
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Document, Location
from pricestreamd.model.events import EVENTS

# Events that the product has a name for, and that this version does not make yet.
_PLANNED = ("price.bar", "portfolio.update")
KNOWN_EVENTS = (*(kind.event for kind in EVENTS if kind.event), *_PLANNED)
# An event of any other family is somebody's own.
_FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in KNOWN_EVENTS if "." in name))

# Types that write a file of their own: two that share one would break it.
_WRITING = ("file", "sqlite")


def check_delivery(document: Document, path: str, folders: Folders, found: Findings) -> None:
    """Apply the rules of sinks and listeners to `document`, the file at `path`."""
    _one_file_each(document, path, folders, found)
    for location, sink in mappings(document.data, "sinks"):
        for index, event in words(sink, "events"):
            _event((*location, "events", index), event, found)
    for location, listener in mappings(document.data, "listeners"):
        heard = listener.get("event")
        if isinstance(heard, Scalar) and heard.written:
            _event((*location, "event"), heard, found)


def _one_file_each(document: Document, path: str, folders: Folders, found: Findings) -> None:
    owners: dict[str, Location] = {}
    for location, sink in mappings(document.data, "sinks"):
        text = word(sink, "path")
        if word(sink, "type") not in _WRITING or not text or "\0" in text:
            continue
        place = (*location, "path")
        first = owners.setdefault(os.path.realpath(folders.written / text), place)
        if first != place:
            there = document.place(first)
            message = f"sink {first[1]} writes this file already ({path}:{there.line}:{there.column})"
            found.fault(place, f"{message}: give one of them another path")


def _event(place: Location, event: Scalar, found: Findings) -> None:
    family, dot, rest = event.text.partition(".")
    if not dot or family not in _FAMILIES or rest == "*" or event.text in KNOWN_EVENTS:
        return
    siblings = [name for name in KNOWN_EVENTS if name.startswith(f"{family}.")]
    hint = did_you_mean(event.text, siblings) or f"; there are {one_of(siblings)}"
    found.warn(place, f"no event {describe(event)}{hint}")
