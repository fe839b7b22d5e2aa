"""The rules of the configured alerts, and what is wrong with those that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricestreamd.config.findings import Findings
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import choose
from pricestreamd.config.suggest import comma_missing
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import Document, Fault, Location
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.silence.hours import hours_of
from pricestreamd.feeds.terms import profile_of
from pricestreamd.providers.profile import Profile, Volume
from pricestreamd.stream.alert_rule import CONDITIONS, AlertError, AlertRule
from pricestreamd.stream.settings import AlertSettings

# What each volume condition needs of a feed, and how that is called.
_VOLUMES: Mapping[str, Volume] = {"day_volume_above": "day", "trade_size_above": "trade"}
_TOLD: Mapping[Volume, str] = {"day": "the volume of the day", "trade": "the size of each trade", "none": "no volume"}

Feeds = list[tuple[str, FeedSettings, Profile]]


def read_alerts(document: Document, path: str, folders: Folders) -> tuple[tuple[AlertRule, ...], list[Fault]]:
    """The rules of the alerts in `document`, the file at `path`, and a fault for each that cannot be.

    An alert that cannot be read is passed over, for its faults are told elsewhere; so is one without a condition.
    """
    rules: dict[str, tuple[int, AlertRule]] = {}
    faults = []
    entries = document.data.get("alerts") if isinstance(document.data, Mapping) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        location: Location = ("alerts", index)
        try:
            rule = _rule(entry, folders)
        except AlertError as exc:
            # Of a key, the place of that is told, and not its name once more.
            key = exc.key if exc.key is not None and exc.key in entry else None
            place = location if key is None else (*location, key)
            faults.append(Fault(place, str(exc).removeprefix(f"{key}: ")))
            continue
        if rule is None:
            continue
        first, other = rules.setdefault(rule.alert_id, (index, rule))
        # Of two with one name, the name is told of.
        if first != index and not (rule.name and rule.name == other.name):
            there = document.place(("alerts", first))
            message = f"the same alert as alerts[{first}] ({path}:{there.line}:{there.column})"
            faults.append(Fault(location, f"{message}: give one of them another name"))
    return tuple(rule for _, rule in rules.values()), faults


def _rule(entry: Any, folders: Folders) -> AlertRule | None:
    if choose((AlertSettings,), entry) is None:
        return None
    alert, _ = build(AlertSettings, entry, folders)
    if alert is None or all(getattr(alert, condition) is None for condition in CONDITIONS):
        return None
    return AlertRule.from_settings(alert)


def check_alerts(settings: Settings, at: float) -> Findings:
    """What alerts ask of feeds that these cannot give, which have ended by `at` (epoch seconds), and likely slips."""
    found = Findings()
    feeds = _feeds(settings)
    for index, alert in enumerate(settings.alerts):
        location: Location = ("alerts", index)
        _check_words(location, alert, found)
        if not feeds:
            continue
        if alert.expires is not None and alert.expires.timestamp() <= at:
            found.warn((*location, "expires"), "this time is over: the alert cannot fire any more")
        if alert.baseline != "armed" and alert.change_percent is None:
            found.warn((*location, "baseline"), "only change_percent is measured from a baseline", on_key=True)
        try:
            rule = AlertRule.from_settings(alert)
        except AlertError:
            continue
        for kind, needed in _VOLUMES.items():
            if getattr(alert, kind) is not None:
                _check_volume((*location, kind), needed, rule, feeds, found)
        if rule.needs_hours:
            _check_hours(location, rule, feeds, at, found)
    return found


def _check_words(location: Location, alert: AlertSettings, found: Findings) -> None:
    """What is likely to be a slip, whatever the feeds."""
    named = [((*location, "symbols", index), symbol) for index, symbol in enumerate(alert.symbols)]
    for place, symbol in [((*location, "symbol"), alert.symbol or ""), *named]:
        if hint := comma_missing(symbol):
            found.warn(place, hint)
    if alert.above is None or alert.below is None:
        return
    if alert.when == "all" and alert.above > alert.below:
        found.warn((*location, "above"), "more than below, and no price is both: the alert can never fire", on_key=True)
    elif alert.when != "all" and alert.above <= alert.below:
        found.warn((*location, "above"), "not more than below, so that one of the two is always true", on_key=True)


def _feeds(settings: Settings) -> Feeds:
    """The feeds whose provider is known; the others are told of elsewhere."""
    feeds = []
    for name, feed in settings.feeds.items():
        try:
            feeds.append((name, feed, profile_of(feed)))
        except ValueError:
            continue
    return feeds


def _check_volume(location: Location, needed: Volume, rule: AlertRule, feeds: Feeds, found: Findings) -> None:
    """Whether every feed that has a symbol of the alert reports such volumes; where none has one, whether any does."""
    lacking = [
        (name, feed, told)
        for name, feed, profile in feeds
        if (told := profile.channels.get(feed.channel or profile.channel, needed)) != needed
    ]
    for name, feed, told in lacking:
        symbol = next((symbol for symbol in feed.symbols if rule.covers(symbol)), None)
        if symbol is not None:
            message = f"feed {name} reports {_TOLD[told]} of {symbol}, not {_TOLD[needed]}"
            found.fault(location, message, on_key=True)
            return
    if len(lacking) == len(feeds):
        found.fault(location, f"no feed reports {_TOLD[needed]}", on_key=True)


def _check_hours(location: Location, rule: AlertRule, feeds: Feeds, at: float, found: Findings) -> None:
    """Whether the market hours of its symbols are known, and have an end."""
    key = "baseline" if rule.session == "any" else "session"
    for _, feed, profile in feeds:
        for symbol in filter(rule.covers, feed.symbols):
            try:
                hours = hours_of(symbol, feed.market_hours, profile)
            except ValueError:
                continue
            if hours is None:
                message = f"the market hours of {symbol} are not known: the alert is blind there"
            elif hours.next_change(at) is None and rule.session != "regular":
                blind = "the alert is blind there" if key == "baseline" else "the alert cannot fire there"
                message = f"the market of {symbol} never closes: {blind}"
            else:
                continue
            found.warn((*location, key), message, on_key=True)
            return
