"""What sinks and listeners demand of a file: a path for each sink, events that there are, webhooks that can be sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pricestreamd.config.findings import Findings, mappings, words
from pricestreamd.config.forms import is_loopback, split_address
from pricestreamd.config.scalars import Scalar, describe
from pricestreamd.config.shape import word
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Document, Location
from pricestreamd.model.events import EVENTS
from pricestreamd.sinks.address_guard import AddressGuard, address_in, wrong_address
from pricestreamd.sinks.signature import signing_keys

# Events that the product has a name for, and that this version does not make yet.
_PLANNED = ("price.bar", "portfolio.update")
KNOWN_EVENTS = (*(kind.event for kind in EVENTS if kind.event), *_PLANNED)
# An event of any other family is somebody's own.
_FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in KNOWN_EVENTS if "." in name))

# Types that write a file of their own: two that share one would break it.
_WRITING = ("file", "sqlite")
MAKE_SECRET = "echo whsec_$(head -c 32 /dev/urandom | base64)"  # noqa: S105 - the way to one, and none itself


def check_delivery(document: Document, path: str, folders: Folders, found: Findings) -> None:
    """Apply the rules of sinks and listeners to `document`, the file at `path`."""
    _one_file_each(document, path, folders, found)
    for location, sink in mappings(document.data, "sinks"):
        for index, event in words(sink, "events"):
            _event((*location, "events", index), event, found)
        if word(sink, "type") == "webhook":
            _webhook(location, sink, found)
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


def _webhook(location: Location, sink: Mapping[str, Any], found: Findings) -> None:
    parts = split_address(word(sink, "url") or "")
    if parts is None or parts.scheme not in ("http", "https"):
        # An address without any scheme is told of as such.
        if "://" in (word(sink, "url") or ""):
            found.fault((*location, "url"), "expected http://... or https://..., as a webhook is a POST")
    elif wrong := wrong_address(parts.hostname or ""):
        found.fault((*location, "url"), wrong)
    elif _refused(parts.hostname or "", sink):
        message = f"{parts.hostname} is no public address: add allow_private: true, or a list of networks"
        found.fault((*location, "url"), message)
    if secret := word(sink, "secret"):
        try:
            signing_keys(secret)
        except ValueError as error:
            found.fault((*location, "secret"), f"{error}; this makes one: {MAKE_SECRET}")


def _refused(host: str, sink: Mapping[str, Any]) -> bool:
    """Whether `host` is an address, or this machine, and the sink may not be sent there."""
    allowed = sink.get("allow_private")
    everything = isinstance(allowed, Scalar) and allowed.loose is True
    try:
        guard = AddressGuard(everything or [network.text for _, network in words(sink, "allow_private")])
    except ValueError:  # a network that is none is told of
        return False
    address = "127.0.0.1" if is_loopback(host) and address_in(host) is None else address_in(host)
    return address is not None and not guard.admits(address)


def _event(place: Location, event: Scalar, found: Findings) -> None:
    family, dot, rest = event.text.partition(".")
    if not dot or family not in _FAMILIES or rest == "*" or event.text in KNOWN_EVENTS:
        return
    siblings = [name for name in KNOWN_EVENTS if name.startswith(f"{family}.")]
    hint = did_you_mean(event.text, siblings) or f"; there are {one_of(siblings)}"
    found.warn(place, f"no event {describe(event)}{hint}")
