"""Reload: everything that can fail comes first; then what differs, and nothing else, is touched."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricestreamd.config.load import Loaded, load
from pricestreamd.config.plan import Changes, plan
from pricestreamd.daemon.alive.sdnotify import ServiceManager
from pricestreamd.daemon.listeners import listener_functions
from pricestreamd.daemon.lost_symbols import lost_symbols
from pricestreamd.daemon.outlets import SinkChanges
from pricestreamd.daemon.parts import Parts
from pricestreamd.daemon.running import Running
from pricestreamd.daemon.tracking import follow
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.http.control import ReloadReport
from pricestreamd.model.errors import ConfigError, Problem
from pricestreamd.model.secret import redact
from pricestreamd.state.thread import OneThread
from pricestreamd.stream.alert_rule import AlertRule

# A file or a module that hangs must not hold up the next reload, which may be without it.
PREPARE_SECONDS = 20.0

_log = logging.getLogger(__name__)


class ReloadOutcome:
    """How the last reload went; the configuration read at the start counts as the first. Time in epoch seconds."""

    def __init__(self) -> None:
        self.successful = True
        self.success_at = time.time()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A configuration that was read, with all that it needs and that could have failed."""

    loaded: Loaded
    changes: Changes
    clients: Mapping[str, WebSocketClient]
    functions: Sequence[Callable[[Any], Any]]
    sinks: SinkChanges


class Reloader:
    """Reads the configuration again when somebody asks `parts.reloads`, one reload at a time.

    `running` begins and ends what runs. `applied` is called when another configuration is in force; it does not fail.
    What takes more than `patience` seconds to be read is refused.
    """

    def __init__(
        self,
        parts: Parts,
        manager: ServiceManager,
        running: Running,
        *,
        applied: Callable[[], Awaitable[object]],
        patience: float = PREPARE_SECONDS,
    ) -> None:
        self._patience = patience
        self._parts = parts
        self._manager = manager
        self._running = running
        self._applied = applied
        self.outcome = ReloadOutcome()

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        with self._parts.reloads as reloads:
            while True:
                await reloads.wait()
                self._manager.reloading()
                try:
                    report = await self.reload()
                finally:
                    self._manager.reloaded(
                        "reloaded" if self.outcome.successful else "reload refused: the old configuration stays"
                    )
                reloads.answer(report)

    async def reload(self) -> ReloadReport:
        """Read, compare and apply. On any error nothing is changed, and every error is logged."""
        try:
            prepared = await self._prepare()
        except ConfigError as exc:
            return self._refused(exc)
        loaded, changes = prepared.loaded, prepared.changes
        warnings = [*loaded.warnings, *self._apply(prepared)]
        await self._applied()
        warnings += [f"{key}: changed, takes effect at the next start" for key in changes.restart]
        for warning in warnings:
            _log.warning("%s", warning)
        self.outcome.successful = True
        self.outcome.success_at = time.time()
        _log.info(
            "reloaded %s: symbols +%d -%d, alerts %d, changed: %s",
            self._parts.path,
            sum(len(symbols.added) for symbols in changes.symbols.values()),
            sum(len(symbols.removed) for symbols in changes.symbols.values()),
            len(loaded.alert_rules),
            ", ".join(changes.changed) or "nothing",
            extra={"action": "reloaded"},
        )
        if loaded.inherited:
            _log.info(
                "from the environment as it was at the start: %s; a change there, or of a credential, takes effect at "
                "the next start",
                ", ".join(loaded.inherited),
            )
        return ReloadReport(changed=changes.changed, restart=changes.restart, warnings=tuple(map(str, warnings)))

    def _refused(self, error: ConfigError) -> ReloadReport:
        self.outcome.successful = False
        for warning in error.warnings:
            _log.warning("%s", warning)
        for problem in error.problems:
            _log.error("reload refused: %s", problem, extra={"action": "reload_refused"})
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        message = redact(f"the old configuration stays: {error.problems[0]}{more}")
        self._parts.dispatcher.error("reload_refused", message)
        return ReloadReport(problems=tuple(error.problems), warnings=tuple(map(str, error.warnings)))

    async def _prepare(self) -> _Prepared:
        """All that can fail.

        Raises:
            ConfigError: names everything that is wrong.
        """
        parts = self._parts
        # In a thread of its own: files and modules of the user's take their time, and may keep the loop's threads busy.
        thread = OneThread("reload")
        doing = "reading it"
        try:
            async with asyncio.timeout(self._patience):
                loaded = await thread.call(functools.partial(load, parts.path, environ=os.environ))
                changes = plan(parts.settings, loaded.settings)
                changes.refuse(str(parts.path))
                doing = "importing what its listeners call"
                functions = await thread.call(listener_functions, loaded)
                doing = "making its sinks"
                sinks = await thread.call(parts.outlets.prepare, loaded)
        except TimeoutError:
            text = f"{doing} takes more than {self._patience:g} s: look for a module or a file that hangs"
            raise ConfigError(Problem(str(parts.path), 0, 0, "", text)) from None
        finally:
            thread.stop()
        clients = {}
        for name in (*changes.feeds_added, *changes.feeds_replaced):
            try:
                clients[name] = parts.new_client(name, loaded.settings.feeds[name])
            except ValueError as exc:
                raise ConfigError(loaded.problem(f"feeds.{name}", str(exc))) from exc
        return _Prepared(loaded, changes, clients, functions, sinks)

    def _apply(self, prepared: _Prepared) -> list[str]:
        """Nothing here can fail or wait: from one tick to the next the new configuration holds. Returns warnings."""
        parts, settings = self._parts, prepared.loaded.settings
        board, rules = parts.service.board, prepared.loaded.alert_rules
        before = parts.feeds.get_subscriptions()
        if prepared.changes.stream:
            parts.service.engine.apply(settings.stream)
        self._apply_feeds(prepared)
        follow(board, parts.feeds)
        kept = {rule.alert_id for rule in rules}
        for old in board.alerts():
            if old.source == "yaml" and old.alert_id not in kept:
                board.remove_alert(old.alert_id)
        for rule in rules:
            board.set_alert(rule, revive=False)
        parts.control.reconcile()
        parts.listeners.apply(settings.listeners, prepared.functions)
        gone, come = parts.outlets.apply(prepared.sinks)
        for name, outlet in gone.items():
            self._running.end_sink(name, outlet, settings.shutdown_timeout, come.get(name))
        for name, outlet in come.items():
            self._running.begin_sink(name, outlet)
        parts.settings = settings
        return lost_symbols(_unchecked(parts, prepared.loaded), before, parts.feeds.get_subscriptions())

    def _apply_feeds(self, prepared: _Prepared) -> None:
        parts, feeds = self._parts, prepared.loaded.settings.feeds
        replaced = {name: parts.feeds.clients[name] for name in prepared.changes.feeds_replaced}
        gone = {name: parts.feeds.clients[name] for name in prepared.changes.feeds_removed}
        for client in prepared.clients.values():
            parts.feeds.put(client)
        for name in gone:
            parts.feeds.remove(name)
        for name, client in parts.feeds.clients.items():
            if name not in prepared.clients:
                client.apply(feeds[name])
                if client.state == "parked":
                    client.retry_now()
        parts.feeds.settle()
        parts.watchlists.apply(feeds, anew=prepared.clients)
        for old in gone.values():
            self._running.end_feed(old)
        self._begin_feeds(prepared.clients, replaced, gone.values())

    def _begin_feeds(
        self,
        clients: Mapping[str, WebSocketClient],
        replaced: Mapping[str, WebSocketClient],
        gone: Collection[WebSocketClient],
    ) -> None:
        """Begin `clients`, and let each go on from where the feed has ended that had its name, or its symbols."""
        for name, client in clients.items():
            if name in replaced:
                self._running.replace_feed(replaced[name], client)
                continue
            for old in gone:
                if any(map(client.wants, old.get_subscriptions())):
                    client.follow(old)
            self._running.begin_feed(client, self._parts.watchlists.readers[name])


def _unchecked(parts: Parts, loaded: Loaded) -> list[AlertRule]:
    """The alerts whose symbols the loader has not looked for: those of the API, and all where it does not know them."""
    known = not any(feed.watchlist for feed in loaded.settings.feeds.values())
    return [rule for rule in parts.service.board.alerts() if not (known and rule.source == "yaml")]
