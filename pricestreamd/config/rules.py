"""What one setting demands of another: symbols of two feeds, names that must exist, doors that must not stand open.

The rules look at the data of the file, not at the settings built from it, so that they can be told together with every
other fault; what is not well-formed is left to `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from pricestreamd.config.built import NOT_BUILT_PROVIDERS
from pricestreamd.config.delivery import check_delivery
from pricestreamd.config.findings import Findings, Mappings, given, mappings, words
from pricestreamd.config.forms import FORMS, is_loopback, split_address, split_listen
from pricestreamd.config.scalars import Scalar, describe, shown
from pricestreamd.config.shape import word
from pricestreamd.config.suggest import comma_missing, did_you_mean, one_of
from pricestreamd.config.watchlist import check_watchlist
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Document, Location
from pricestreamd.feeds.settings import PROVIDERS
from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.catalogue import profile, provider_names
from pricestreamd.stream.alert_rule import CONDITIONS

_GLOB = frozenset("*?[")


def check_rules(
    document: Document, path: str, folders: Folders, *, feeds_required: bool, feeds_used: bool = True
) -> Findings:
    """Apply every rule to the data of `document`, the file at `path`; what is relative in it begins in `folders`.

    `feeds_used`: false where prices come from elsewhere, so that an alert may be on any symbol.
    """
    data = document.data
    found = Findings()
    if not isinstance(data, Mapping):
        return found
    feeds = mappings(data, "feeds")
    _names(data, found)
    _feeds_present(data, found, required=feeds_required)
    for location, feed in feeds:
        _provider(location, feed, found, required=feeds_required)
        _endpoint(location, feed, found)
        _feed_symbols(location, feed, found)
        check_watchlist(location, feed, found)
        _backup(location, feed, data["feeds"], found)
    _one_feed_each(document, path, feeds, found)
    alerts = mappings(data, "alerts")
    wanted = _wanted(feeds) if feeds_used else None
    for location, alert in alerts:
        _alert(location, alert, found)
        _notify(location, alert, data.get("sinks"), found)
        _alert_symbols(location, alert, wanted, found)
    _alert_names(document, alerts, found)
    check_delivery(document, path, folders, found)
    _listen(data, found)
    return found


def _names(data: Mapping[str, Any], found: Findings) -> None:
    for section in ("feeds", "sinks"):
        for name in data[section] if isinstance(data.get(section), Mapping) else ():
            if fault := FORMS["name"](name, repr(name)):
                found.fault((section, name), fault, on_key=True)


def _feeds_present(data: Mapping[str, Any], found: Findings, *, required: bool) -> None:
    if required and ("feeds" not in data or data["feeds"] == {} or not given(data, "feeds")):
        found.fault(("feeds",), "name at least one feed: where prices come from has no default", absent=True)


def _provider(location: Location, feed: Mapping[str, Any], found: Findings, *, required: bool) -> None:
    provider = word(feed, "provider")
    if not provider:
        return
    place = (*location, "provider")
    ours = provider in PROVIDERS and provider not in NOT_BUILT_PROVIDERS
    if ours or provider in provider_names():
        _key(location, feed, provider, found)
    elif provider in NOT_BUILT_PROVIDERS:
        if required:
            built = one_of(name for name in PROVIDERS if name not in NOT_BUILT_PROVIDERS)
            found.fault(place, f"provider {provider} is not built yet: this version knows {built}")
        else:
            found.warn(place, "not built yet: ignored")
    else:
        names = tuple(dict.fromkeys((*PROVIDERS, *provider_names())))
        known = did_you_mean(provider, names) or f"; there are {one_of(names)}"
        found.fault(place, f"no provider {describe(feed['provider'])}{known}")


def _key(location: Location, feed: Mapping[str, Any], provider: str, found: Findings) -> None:
    """Whether there is a key where the provider serves nobody without one."""
    try:
        auth = profile(provider).auth
    except ValueError as error:  # of a distribution that cannot be used
        found.fault((*location, "provider"), str(error))
        return
    if auth != "none" and not (given(feed, "api_key") or given(feed, "api_key_file")):
        parts = split_address(word(feed, "endpoint") or "")
        if parts is None or not is_loopback(parts.hostname or ""):
            found.fault(location, f"{provider} needs api_key or api_key_file", on_key=True, absent=True)


def _endpoint(location: Location, feed: Mapping[str, Any], found: Findings) -> None:
    parts = split_address(word(feed, "endpoint") or "")
    if parts is None or parts.scheme not in ("ws", "http") or is_loopback(parts.hostname or ""):
        return
    allowed = feed.get("allow_plaintext")
    if not (isinstance(allowed, Scalar) and allowed.loose is True):
        secure = {"ws": "wss", "http": "https"}[parts.scheme]
        message = f"{parts.scheme}:// would send the key to {parts.hostname} unencrypted: use {secure}://"
        found.fault((*location, "endpoint"), f"{message}, or allow_plaintext: true")


def _feed_symbols(location: Location, feed: Mapping[str, Any], found: Findings) -> None:
    if not given(feed, "symbols") and not given(feed, "watchlist"):
        found.warn(location, "has neither symbols nor a watchlist: it waits for symbols over the API", on_key=True)
    seen: dict[str, int] = {}
    for index, symbol in words(feed, "symbols"):
        first = seen.setdefault(symbol_key(symbol.text), index)
        if first != index:
            found.warn((*location, "symbols", index), f"{shown(symbol)} is listed already")
        if hint := comma_missing(symbol.text):
            found.warn((*location, "symbols", index), hint)


def _backup(location: Location, feed: Mapping[str, Any], feeds: Mapping[str, Any], found: Findings) -> None:
    backup = word(feed, "backup")
    if not backup:
        return
    place = (*location, "backup")
    if backup == location[1]:
        found.fault(place, "a feed cannot be its own backup")
    elif backup not in feeds:
        found.fault(place, f"no feed {describe(feed['backup'])}{did_you_mean(backup, feeds)}")


def _one_feed_each(document: Document, path: str, feeds: Mappings, found: Findings) -> None:
    backups = {location[1]: word(feed, "backup") for location, feed in feeds}
    owners: dict[str, Location] = {}
    for location, feed in feeds:
        for index, symbol in words(feed, "symbols"):
            place = (*location, "symbols", index)
            first = owners.setdefault(symbol_key(symbol.text), place)
            one, other = first[1], location[1]
            if one != other and backups[one] != other and backups[other] != one:
                there = document.place(first)
                message = f"{shown(symbol)} is also a symbol of feed {one} ({path}:{there.line}:{there.column})"
                found.fault(place, f"{message}: it belongs to one, unless one feed is the backup of the other")


def _alert(location: Location, alert: Mapping[str, Any], found: Findings) -> None:
    if given(alert, "symbol") and given(alert, "symbols"):
        found.fault((*location, "symbols"), "there is symbol already; keep one of the two", on_key=True)
    elif not given(alert, "symbol") and not alert.get("symbols"):
        found.fault(location, "an alert needs symbol or symbols", absent=True)
    if not any(given(alert, key) for key in CONDITIONS):
        found.fault(location, f"an alert needs a condition: {one_of(CONDITIONS)}", absent=True)


def _notify(location: Location, alert: Mapping[str, Any], sinks: Any, found: Findings) -> None:
    # Where no sink of the type log is configured there is one of that name.
    known = ["log", *(sinks if isinstance(sinks, Mapping) else ())]
    for index, name in words(alert, "notify"):
        if name.text not in known:
            hint = did_you_mean(name.text, known) or f"; there are {one_of(known)}"
            found.fault((*location, "notify", index), f"no sink {describe(name)}{hint}")


def _wanted(feeds: Mappings) -> frozenset[str] | None:
    """The symbols of all feeds as they are compared; None where they are not known.

    A watchlist brings symbols that nobody knows yet; without feeds (a replay) every symbol is welcome.
    """
    if not feeds or any(given(feed, "watchlist") for _, feed in feeds):
        return None
    return frozenset(symbol_key(symbol.text) for _, feed in feeds for _, symbol in words(feed, "symbols"))


def _alert_symbols(
    location: Location, alert: Mapping[str, Any], wanted: frozenset[str] | None, found: Findings
) -> None:
    if wanted is None:
        return
    places = [((*location, "symbols", index), symbol) for index, symbol in words(alert, "symbols")]
    if word(alert, "symbol") and isinstance(single := alert["symbol"], Scalar):
        places.append(((*location, "symbol"), single))
    for place, symbol in places:
        key = symbol_key(symbol.text)
        if key in wanted or (_GLOB & set(key) and any(fnmatchcase(name, key) for name in wanted)):
            continue
        found.warn(place, f"no feed has the symbol {shown(symbol)}: the alert cannot fire")


def _alert_names(document: Document, alerts: Mappings, found: Findings) -> None:
    seen: dict[str, Location] = {}
    for location, alert in alerts:
        name = word(alert, "name")
        if not name:
            continue
        place = (*location, "name")
        first = seen.setdefault(name, place)
        if first != place:
            line = document.place(first).line
            found.fault(place, f"another alert, in line {line}, has this name already")


def _listen(data: Mapping[str, Any], found: Findings) -> None:
    http = data.get("http")
    if not isinstance(http, Mapping):
        return
    address = split_listen(word(http, "listen") or "")
    if address is None or is_loopback(address[0]):
        return
    tls = http.get("tls")
    certified = isinstance(tls, Mapping) and given(tls, "client_ca_file")
    token = http.get("auth_token")
    if certified or (given(http, "auth_token") and not (isinstance(token, Scalar) and token.value == "")):
        return
    message = "listening beyond this machine needs auth_token, auth_token_file or tls.client_ca_file"
    found.fault(("http", "listen"), message)
