"""An alert that came over the API: read as the configuration reads one, checked against feeds and sinks, and kept.

What is kept is JSON: `{"alert": {...}, "excluded": [...]}`, the alert as it would stand in the YAML, and the symbols
that were taken out of its globs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from pricestreamd.config.alerts import check_alerts
from pricestreamd.config.findings import given
from pricestreamd.config.settings import Settings
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Fault, dotted
from pricestreamd.daemon.answers.alert_reports import written
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.http.problem import FieldFault, RefusalError, field_refusal
from pricestreamd.stream.alert_rule import AlertError, AlertRule, is_glob
from pricestreamd.stream.settings import AlertSettings

# No key of an alert is a path.
_NOWHERE = Folders(Path("/"), Path("/"))
# Faults of one body that are told, and letters of each.
_TOLD = 20
_LETTERS = 400
# Parts of an address that no client would send as they are.
_UNADDRESSABLE = frozenset({".", ".."})


class _Definition(msgspec.Struct):
    alert: dict[str, Any]
    excluded: tuple[str, ...] = ()


_definition = msgspec.json.Decoder(_Definition)


def read_alert(body: Mapping[str, Any]) -> tuple[AlertSettings, AlertRule]:
    """The alert that `body` describes, by the rules of the YAML.

    Raises:
        RefusalError: 422, with every key at fault.
    """
    settings, faults = build(AlertSettings, dict(body), _NOWHERE)
    if settings is None:
        raise _refusal(faults)
    if given(body, "symbol") and settings.symbols:
        raise field_refusal("symbols", "there is symbol already; keep one of the two")
    if settings.name in _UNADDRESSABLE:
        raise field_refusal("name", "no address can end like this: take another name")
    try:
        return settings, AlertRule.from_settings(settings, source="api")
    except AlertError as exc:
        key = exc.key or ("symbol" if "symbol" in str(exc) else "above")
        raise field_refusal(key, str(exc).removeprefix(f"{key}: ")) from exc


def check_alert(
    alert: AlertSettings, rule: AlertRule, settings: Settings, feeds: FeedGroup, sinks: Collection[str]
) -> list[str]:
    """What a person should know of an alert that is to be set: no sink, no feed, no such volume, no such hours.

    Returns warnings. Raises:
        RefusalError: 422, a sink that there is not, or something that no feed can give.
    """
    for index, name in enumerate(alert.notify):
        if name not in sinks:
            hint = did_you_mean(name[:_LETTERS], sinks) or f"; there are {one_of(sorted(sinks))}"
            raise field_refusal(f"notify[{index}]", f"no sink {name[:_LETTERS]!r}{hint}")
    covered = {name: _covered(rule, client) for name, client in feeds.clients.items()}
    now = {name: replace(feed, symbols=covered.get(name, ())) for name, feed in settings.feeds.items()}
    found = check_alerts(replace(settings, feeds=now, alerts=(alert,)), time.time())
    if found.faults:
        raise _refusal([replace(fault, location=fault.location[2:]) for fault in found.faults])
    warnings = [f"{dotted(fault.location[2:])}: {fault.message}" for fault in found.warnings]
    if not any(covered.values()):
        named = ", ".join(rule.patterns[:5])
        warnings.append(f"no feed has the symbol {named}: the alert cannot fire until one has (POST /api/v1/symbols)")
    return warnings


def _covered(rule: AlertRule, client: WebSocketClient) -> tuple[str, ...]:
    """The symbols of a feed that the alert is on."""
    if any(map(is_glob, rule.patterns)):
        return tuple(filter(rule.covers, client.get_subscriptions()))
    return tuple(symbol for symbol in rule.patterns if client.wants(symbol))


def changed(rule: AlertRule, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The alert as written, with `changes` in it; None takes a key out.

    Raises:
        RefusalError: 422, a new name: it is the identity.
    """
    if "name" in changes and changes["name"] != rule.name:
        raise field_refusal("name", "it is what the alert is known by: remove the alert, and add one of the other name")
    found = written(rule)
    for key in ("symbol", "symbols"):
        # One takes the place of the other.
        if changes.get(key) is not None:
            found.pop("symbols" if key == "symbol" else "symbol", None)
    found |= changes
    return {key: value for key, value in found.items() if value is not None}


def keep(rule: AlertRule) -> bytes:
    """What the state keeps of an alert."""
    return msgspec.json.encode(_Definition(written(rule), rule.excluded))


def kept(alert_id: str, definition: bytes) -> AlertRule:
    """The alert that the state has kept under this id.

    Raises:
        ValueError: it cannot be read, or not by this version.
    """
    found = _definition.decode(definition)
    try:
        _, rule = read_alert(found.alert)
    except RefusalError as exc:
        raise ValueError(exc.detail) from exc
    # One without a name that was changed goes on under the id that it had at first.
    return replace(rule, alert_id=alert_id, excluded=found.excluded)


def _refusal(faults: list[Fault]) -> RefusalError:
    # A key that is missing because another is mistyped is not what a person has to correct.
    told: list[FieldFault] = [
        {"field": dotted(fault.location)[:100], "detail": fault.message[:_LETTERS]} for fault in faults[:_TOLD]
    ]
    first = told[0]
    place = f"{first['field']}: " if first["field"] else ""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return RefusalError(422, f"{place}{first['detail']}{more}", faults=told)
