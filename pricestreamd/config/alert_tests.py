"""Whether the tests of alerts can be run: alerts, symbols and events that there are, in the order of time.

They are only looked at here. `check` runs them; a start or a reload does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pricestreamd.config.findings import Findings, mappings
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import word
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.yaml_text import Location
from pricestreamd.model.events import AlertBlind, AlertSighted, PriceAlert
from pricestreamd.model.tick import symbol_key
from pricestreamd.replay.settings import EXPECTED_EVENTS, AlertTestEvent, AlertTestSettings
from pricestreamd.stream.alert_rule import AlertRule, is_glob
from pricestreamd.stream.alerts.text import span

# What a message names of what may be many.
_NAMED = 10
_OF_ALERTS = (PriceAlert.event, AlertBlind.event, AlertSighted.event)


def check_alert_tests(data: Any, settings: Settings, rules: Sequence[AlertRule]) -> Findings:
    """What is wrong with the tests in `settings`, which are made of `data`; `rules` are those of its alerts."""
    found = Findings()
    if not settings.tests or not isinstance(data, Mapping):
        return found
    entries = mappings(data, "alerts")
    # What is wrong with an alert is told of there, and not by each test that names it.
    names = {word(entry, "name") for _, entry in entries} - {None, ""}
    known = _Known(settings, rules, {*(rule.alert_id for rule in rules), *filter(None, names)}, len(entries))
    for index, test in enumerate(settings.tests):
        location: Location = ("tests", index)
        known.check_ticks(location, test, found)
        for number, wanted in enumerate(test.expect):
            known.check_expected((*location, "expect", number), wanted, test, found)
    return found


class _Known:
    """What a configuration has that tests may name. `written`: how many alerts it has, good or not."""

    def __init__(self, settings: Settings, rules: Sequence[AlertRule], names: Iterable[str], written: int) -> None:
        self._rules = {rule.alert_id: rule for rule in rules}
        self._names = sorted(names)
        listed = [symbol for feed in settings.feeds.values() for symbol in feed.symbols]
        named = [pattern for rule in rules for pattern in rule.patterns if not is_glob(pattern)]
        self._symbols = {symbol_key(symbol): symbol for symbol in (*named, *listed)}
        # A watchlist brings symbols that nobody knows yet; an alert that cannot be read may be on any.
        self._open = any(feed.watchlist is not None for feed in settings.feeds.values()) or written > len(rules)

    def check_ticks(self, location: Location, test: AlertTestSettings, found: Findings) -> None:
        """Symbols that a feed or an alert has, and times that do not go back."""
        latest = 0.0
        told = set()
        for number, tick in enumerate(test.ticks):
            place = (*location, "ticks", number)
            if tick.at < latest:
                message = (
                    f"{span(tick.at)} is before the {span(latest)} of the tick above it: ticks are in order of time"
                )
                found.fault((*place, "at"), message)
            latest = max(latest, tick.at)
            key = symbol_key(tick.symbol)
            if key not in told and not self._has(key):
                told.add(key)
                hint = did_you_mean(tick.symbol, self._symbols.values())
                found.fault((*place, "symbol"), f"no feed and no alert has the symbol {tick.symbol!r}{hint}")

    def _has(self, key: str) -> bool:
        return self._open or key in self._symbols or any(rule.covers(key) for rule in self._rules.values())

    def check_expected(
        self, location: Location, wanted: AlertTestEvent, test: AlertTestSettings, found: Findings
    ) -> None:
        """An event, a symbol, an alert and a reason that can come in this test; the first that cannot is told."""
        symbols = {symbol_key(tick.symbol): tick.symbol for tick in test.ticks}
        if wanted.event not in EXPECTED_EVENTS:
            hint = did_you_mean(wanted.event, EXPECTED_EVENTS) or f"; it may expect {one_of(EXPECTED_EVENTS)}"
            found.fault((*location, "event"), f"no test sees the event {wanted.event!r}{hint}")
        elif wanted.alert is not None and wanted.event not in _OF_ALERTS:
            found.fault((*location, "alert"), f"{wanted.event} is of no alert", on_key=True)
        elif wanted.reason is not None and wanted.event != PriceAlert.event:
            found.fault((*location, "reason"), f"{wanted.event} has no alert_reason", on_key=True)
        elif wanted.symbol is not None and symbol_key(wanted.symbol) not in symbols:
            hint = did_you_mean(wanted.symbol, symbols.values())
            found.fault((*location, "symbol"), f"no tick of this test has the symbol {wanted.symbol!r}{hint}")
        elif wanted.alert is not None and wanted.alert not in self._names:
            hint = did_you_mean(wanted.alert, self._names) or _there_are(self._names)
            found.fault((*location, "alert"), f"no alert {wanted.alert!r}{hint}")
        else:
            mine = [wanted.symbol] if wanted.symbol is not None else list(symbols.values())
            self._check_meant(location, wanted, mine, found)

    def _check_meant(self, location: Location, wanted: AlertTestEvent, symbols: list[str], found: Findings) -> None:
        """Whether the alerts that may be meant are on one of the symbols, and have the reason."""
        if wanted.alert is not None and wanted.alert not in self._rules:
            return
        meant = [rule for alert_id, rule in self._rules.items() if wanted.alert in (None, alert_id)]
        if wanted.alert is not None and not any(rule.covers(symbol) for rule in meant for symbol in symbols):
            found.fault((*location, "alert"), f"alert {wanted.alert} is not on {one_of(symbols[:_NAMED])}")
        reasons = sorted({"+".join(one.reason for one in trigger) for rule in meant for trigger in rule.triggers})
        if wanted.reason is not None and not self._open and wanted.reason not in reasons:
            hint = did_you_mean(wanted.reason, reasons) or _there_are(reasons)
            found.fault((*location, "reason"), f"no alert has the reason {wanted.reason!r}{hint}")


def _there_are(names: list[str]) -> str:
    return f"; there are {one_of(names[:_NAMED])}" if names else "; there are none"
