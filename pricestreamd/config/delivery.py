"""What sinks, listeners and the deadman demand of a file: paths of their own, events that exist, usable addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pricestreamd.config.findings import Findings, given, mappings, words
from pricestreamd.config.forms import is_loopback, split_address
from pricestreamd.config.scalars import Scalar, describe
from pricestreamd.config.shape import word
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Document, Location
from pricestreamd.model.events import EVENTS
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.catalogue import missing_library
from pricestreamd.sinks.notify.apprise_library import address_fault
from pricestreamd.sinks.notify.templates import template_fault
from pricestreamd.sinks.webhook.address_guard import AddressGuard, address_in, wrong_address
from pricestreamd.sinks.webhook.signature import signing_keys

# Events that the product has a name for, and that this version does not make yet.
_PLANNED = ("price.bar", "portfolio.update")
KNOWN_EVENTS = (*(kind.event for kind in EVENTS if kind.event), *_PLANNED)
# An event of any other family is somebody's own.
_FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in KNOWN_EVENTS if "." in name))

# Types that write a file of their own: two that share one would break it.
_WRITING = ("file", "sqlite")
MAKE_SECRET = "echo whsec_$(head -c 32 /dev/urandom | base64)"  # noqa: S105 - the way to one, and none itself


def check_delivery(document: Document, path: str, folders: Folders, found: Findings) -> None:
    """Apply the rules of sinks, listeners and the deadman to `document`, the file at `path`."""
    _one_file_each(document, path, folders, found)
    for location, sink in mappings(document.data, "sinks"):
        for index, event in words(sink, "events"):
            _event((*location, "events", index), event, found)
        if missing := missing_library(word(sink, "type") or ""):
            found.fault((*location, "type"), missing)
        elif word(sink, "type") == "notify":
            _notify(location, sink, found)
        if word(sink, "type") == "webhook":
            _webhook(location, sink, found)
    _deadman(document, found)
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
    elif guard := _guard(sink):
        if _refused(parts.hostname or "", guard):
            message = f"{parts.hostname} is no public address: add allow_private: true, or a list of networks"
            found.fault((*location, "url"), message)
        elif wrong := guard.wrong_port(parts.port):
            found.fault((*location, "url"), wrong)
    if secret := word(sink, "secret"):
        try:
            signing_keys(secret)
        except ValueError as error:
            key = "secret_file" if given(sink, "secret_file") else "secret"
            found.fault((*location, key), f"{error}; this makes one: {MAKE_SECRET}")


def _notify(location: Location, sink: Mapping[str, Any], found: Findings) -> None:
    for index, url in words(sink, "urls"):
        # An address without any scheme is told of as such.
        if "://" in url.text and (fault := address_fault(Secret(url.text))):
            found.fault((*location, "urls", index), fault)
    templates = sink.get("templates")
    for event, template in templates.items() if isinstance(templates, Mapping) else ():
        if hint := _no_such_event(event, families=False):
            found.warn((*location, "templates", event), f"no event '{event}'{hint}", on_key=True)
        if isinstance(template, Scalar) and (fault := template_fault(event, template.text)):
            found.fault((*location, "templates", event), fault)


def _deadman(document: Document, found: Findings) -> None:
    section = document.data.get("deadman") if isinstance(document.data, Mapping) else None
    url = word(section, "url") if isinstance(section, Mapping) else None
    if not url or "://" not in url:  # an address without any scheme is told of as such
        return
    parts = split_address(url)
    if parts is None or parts.scheme not in ("http", "https"):
        found.fault(("deadman", "url"), "expected http://... or https://..., as it is asked by a GET")
    elif wrong := wrong_address(parts.hostname or ""):
        found.fault(("deadman", "url"), wrong)


def _guard(sink: Mapping[str, Any]) -> AddressGuard | None:
    """What the sink may be sent to; None where a network is none, which is told of elsewhere."""
    allowed = sink.get("allow_private")
    everything = isinstance(allowed, Scalar) and allowed.loose is True
    try:
        return AddressGuard(everything or [network.text for _, network in words(sink, "allow_private")])
    except ValueError:
        return None


def _refused(host: str, guard: AddressGuard) -> bool:
    """Whether `host` is an address, or this machine, and the sink may not be sent there."""
    address = "127.0.0.1" if is_loopback(host) and address_in(host) is None else address_in(host)
    return address is not None and not guard.admits(address)


def _event(place: Location, event: Scalar, found: Findings) -> None:
    if hint := _no_such_event(event.text, families=True):
        found.warn(place, f"no event {describe(event)}{hint}")


def _no_such_event(name: str, *, families: bool) -> str | None:
    """What there is instead, where no event of ours, and perhaps no family, has this name; None: it can be one."""
    family, dot, rest = name.partition(".")
    if not dot or family not in _FAMILIES or (families and rest == "*") or name in KNOWN_EVENTS:
        return None
    siblings = [name for name in KNOWN_EVENTS if name.startswith(f"{family}.")]
    return did_you_mean(name, siblings) or f"; there are {one_of(siblings)}"
