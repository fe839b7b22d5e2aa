"""The alerts that were made over the API: set, changed, removed, and noted to be kept.

The configuration comes first: an alert with the id of one in the YAML is refused, and one whose id a reload brings into
the YAML gives way to that, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pricestreamd.config.settings import Settings
from pricestreamd.daemon.answers.alert_body import changed, check_alert, keep, kept, read_alert
from pricestreamd.daemon.journal.keeping import Keeping, Limits
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.http.control import ClearedAlerts, SetAlert
from pricestreamd.http.problem import RefusalError, field_refusal
from pricestreamd.state.rows import AlertRow, StateChange
from pricestreamd.stream.alert_rule import AlertRule, is_glob
from pricestreamd.stream.board import Board


class ApiAlerts:
    """`settings` gives those in force, `sinks` the names of the sinks, and `warn` gets sentences."""

    def __init__(
        self,
        board: Board,
        feeds: FeedGroup,
        keeping: Keeping,
        *,
        settings: Callable[[], Settings],
        sinks: Callable[[], Collection[str]],
        warn: Callable[[str], object],
        limits: Limits,
    ) -> None:
        self._board = board
        self._feeds = feeds
        self._keeping = keeping
        self._settings = settings
        self._sinks = sinks
        self._warn = warn
        self._limits = limits
        # The ids of those that are kept, and can be read.
        self._kept: dict[str, None] = {}

    # --- at the start, and after a reload

    def restore(self, rows: Iterable[AlertRow]) -> None:
        """Set what an earlier run has kept. What cannot be read stays there and is told of."""
        for row in rows:
            try:
                rule = kept(row.alert_id, row.definition)
            except ValueError as exc:
                self._warn(f"alert {row.alert_id}, made over the API, cannot be read ({exc}): it stays in the state")
                continue
            self._kept[row.alert_id] = None
            if self._board.rule(row.alert_id) is None:
                self._board.set_alert(rule)
        self.reconcile()

    def reconcile(self) -> None:
        """Forget those that are in the configuration now."""
        for alert_id in list(self._kept):
            rule = self._board.rule(alert_id)
            if rule is not None and rule.source == "yaml":
                self._warn(f"alert {alert_id} is in the configuration now: the one made over the API is gone")
                self._forget(alert_id)

    def keep_all(self) -> None:
        """Keep them once more: the file was replaced by a new one."""
        for alert_id in self._kept:
            rule = self._board.rule(alert_id)
            if rule is not None:
                self._keep(rule)

    # --- changes

    def set(self, body: Mapping[str, Any]) -> SetAlert:
        """See `Control.set_alert`."""
        alert, rule = read_alert(body)
        before = self._board.rule(rule.alert_id)
        if before is not None:
            _refuse_yaml(before, "take another name, or change it there and reload")
            if rule.name is None and _canonical(before) != _canonical(rule):
                text = f"{rule.alert_id} is the id of an alert that was changed since: give this one a name"
                raise RefusalError(409, text)
        warnings = check_alert(alert, rule, self._settings(), self._feeds, self._sinks())
        self._refuse_too_many(rule, before)
        self._keep(rule)
        self._board.set_alert(rule)
        return SetAlert(rule.alert_id, before is not None, warnings)

    def change(self, alert_id: str, changes: Mapping[str, Any]) -> SetAlert:
        """See `Control.change_alert`."""
        before = self._own(alert_id, "change it there and reload")
        alert, rule = read_alert(changed(before, changes))
        # Who names the symbols anew means all of them.
        excluded = () if {"symbol", "symbols"} & changes.keys() else before.excluded
        rule = replace(rule, alert_id=alert_id, excluded=excluded)
        warnings = check_alert(alert, rule, self._settings(), self._feeds, self._sinks())
        self._refuse_too_many(rule, before)
        self._keep(rule)
        # Not `revive`: what was done stays done, for changing its text is not setting it anew.
        self._board.set_alert(rule, revive=False)
        return SetAlert(alert_id, existed=True, warnings=warnings)

    def remove(self, alert_id: str) -> None:
        """See `Control.remove_alert`."""
        self._own(alert_id, "remove it there and reload")
        self._forget(alert_id)
        self._board.remove_alert(alert_id)

    def clear(self, symbol: str) -> ClearedAlerts:
        """See `Control.clear_alerts`."""
        found: ClearedAlerts = {"removed": [], "changed": [], "kept": []}
        for rule in self._board.alerts():
            if not rule.covers(symbol):
                continue
            others = rule.without(symbol)
            if rule.source == "yaml":
                found["kept"].append(rule.alert_id)
            elif others is None:
                found["removed"].append(rule.alert_id)
                self._forget(rule.alert_id)
                self._board.remove_alert(rule.alert_id)
            else:
                found["changed"].append(rule.alert_id)
                self._keep(others)
                self._board.set_alert(others, revive=False)
        return found

    def rearm(self, alert_id: str, symbol: str | None) -> None:
        """See `Control.rearm_alert`."""
        self.known(alert_id)
        if not self._board.rearm(alert_id, symbol) and symbol is not None:
            raise RefusalError(404, "The alert does not cover that symbol, or no feed has it.", parameter="symbol")

    def known(self, alert_id: str) -> AlertRule:
        """The alert of this id, whoever made it.

        Raises:
            RefusalError: 404, there is none.
        """
        rule = self._board.rule(alert_id)
        if rule is None:
            raise RefusalError(404, "There is no alert of that id. GET /api/v1/alerts lists them.")
        return rule

    def _own(self, alert_id: str, remedy: str) -> AlertRule:
        rule = self.known(alert_id)
        _refuse_yaml(rule, remedy)
        return rule

    def _refuse_too_many(self, rule: AlertRule, before: AlertRule | None) -> None:
        limits = self._limits
        if before is None and len(self._kept) >= limits.alerts:
            raise RefusalError(409, f"There are {limits.alerts} alerts made over the API, and no more: remove some.")
        if before is not None and before.patterns == rule.patterns and before.excluded == rule.excluded:
            return
        states = self._board.by_symbol
        places = sum(len(state.alerts.alerts) for state in states.values())
        more = sum(map(rule.covers, states)) if any(map(is_glob, rule.patterns)) else len(rule.patterns)
        if places + more > limits.places:
            text = f"together, alerts cover {places} symbols already: not {more} more, for {limits.places} are the most"
            raise field_refusal("symbols", text, status=409)

    def _keep(self, rule: AlertRule) -> None:
        self._kept[rule.alert_id] = None
        self._keeping.note(StateChange(alerts=[AlertRow(rule.alert_id, keep(rule))]))

    def _forget(self, alert_id: str) -> None:
        self._kept.pop(alert_id, None)
        self._keeping.note(StateChange(alerts_gone=[alert_id]))


def _refuse_yaml(rule: AlertRule, remedy: str) -> None:
    if rule.source == "yaml":
        raise RefusalError(409, f"{rule.alert_id} is an alert of the configuration: {remedy}.")


def _canonical(rule: AlertRule) -> tuple[Any, ...]:
    """What the id of an alert without a name is made of."""
    return rule.patterns, sorted(condition.text for condition in rule.conditions), rule.together
