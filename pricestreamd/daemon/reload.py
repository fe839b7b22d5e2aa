"""Reload: everything that can fail comes first; then what differs, and nothing else, is touched."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from pathlib import Path

from pricestreamd.config.alerts import alert_rules
from pricestreamd.config.load import Loaded, load
from pricestreamd.config.plan import Changes, plan
from pricestreamd.daemon.parts import Parts
from pricestreamd.daemon.sdnotify import ServiceManager
from pricestreamd.daemon.tracking import follow
from pricestreamd.daemon.unseen import unseen
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact
from pricestreamd.state.thread import OneThread
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.telemetry.logs import LogControl

_log = logging.getLogger(__name__)


class ReloadOutcome:
    """How the last reload went; the configuration read at the start counts as the first. Time in epoch seconds."""

    def __init__(self) -> None:
        self.successful = True
        self.success_at = time.time()
        self.problems: tuple[str, ...] = ()


class Reloader:
    """Reads the configuration again when asked, one reload at a time; asked meanwhile, it reads once more."""

    def __init__(self, parts: Parts, manager: ServiceManager, logs: LogControl) -> None:
        self._parts = parts
        self._logs = logs
        self._manager = manager
        self._asked = asyncio.Event()
        self.outcome = ReloadOutcome()

    def ask(self) -> None:
        """Reload soon."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._manager.reloading()
            try:
                await self.reload()
            finally:
                self._manager.ready(
                    "reloaded" if self.outcome.successful else "reload refused: the old configuration stays"
                )

    async def reload(self) -> ReloadOutcome:
        """Read, compare and apply. On any error nothing is changed, and every error is logged."""
        parts = self._parts
        try:
            loaded = await _read(parts.path)
            changes = plan(parts.settings, loaded.settings)
            changes.refuse(str(parts.path))
            rules = alert_rules(loaded)
        except ConfigError as exc:
            self.outcome.successful = False
            self.outcome.problems = tuple(map(str, exc.problems))
            for warning in exc.warnings:
                _log.warning("%s", warning)
            for problem in exc.problems:
                _log.error("reload refused: %s", problem, extra={"action": "reload_refused"})
            first = self.outcome.problems[0]
            more = f" (and {len(exc.problems) - 1} more)" if len(exc.problems) > 1 else ""
            parts.dispatcher.error("reload_refused", redact(f"the old configuration stays: {first}{more}"))
            return self.outcome
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        self._apply(loaded, changes, rules)
        self.outcome.successful = True
        self.outcome.success_at = time.time()
        self.outcome.problems = ()
        return self.outcome

    def _apply(self, loaded: Loaded, changes: Changes, rules: list[AlertRule]) -> None:
        """Nothing here can fail or wait: from one tick to the next the new configuration holds."""
        parts = self._parts
        board = parts.service.board
        before = parts.feeds.get_subscriptions()
        if changes.stream:
            parts.service.engine.apply(loaded.settings.stream)
        for name, client in parts.feeds.clients.items():
            if name in loaded.settings.feeds:
                client.apply(loaded.settings.feeds[name])
            if client.state == "parked":
                client.retry_now()
        parts.watchlists.apply(loaded.settings.feeds)
        follow(board, parts.feeds)
        kept = {rule.alert_id for rule in rules}
        for old in board.alerts():
            if old.source == "yaml" and old.alert_id not in kept:
                board.remove_alert(old.alert_id)
        for rule in rules:
            board.set_alert(rule, revive=False)
        parts.control.reconcile()
        for warning in unseen(_unchecked(parts, loaded), before, parts.feeds.get_subscriptions()):
            _log.warning("%s", warning)
        self._logs.set_level(loaded.settings.logging.level)
        for key in changes.restart:
            _log.warning("%s: changed, takes effect at the next start", key)
        parts.settings = loaded.settings
        _log.info(
            "reloaded %s: symbols +%d -%d, alerts %d",
            parts.path,
            sum(len(symbols.added) for symbols in changes.symbols.values()),
            sum(len(symbols.removed) for symbols in changes.symbols.values()),
            len(rules),
            extra={"action": "reloaded"},
        )


def _unchecked(parts: Parts, loaded: Loaded) -> list[AlertRule]:
    """The alerts whose symbols the loader has not looked for: those of the API, and all where it does not know them."""
    known = not any(feed.watchlist for feed in loaded.settings.feeds.values())
    return [rule for rule in parts.service.board.alerts() if not (known and rule.source == "yaml")]


async def _read(path: Path) -> Loaded:
    # In a thread of its own: functions of the user's may keep all threads of the loop busy.
    thread = OneThread("reload")
    try:
        return await thread.call(functools.partial(load, path, environ=os.environ))
    finally:
        thread.stop()
