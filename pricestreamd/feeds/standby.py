"""Backup feeds at work: who is in charge of which symbol, and whose ticks pass.

Of two feeds that carry a symbol only one is heard at a time: two sources that take turns would make changes out of
the difference between them. A backup whose own configuration names the symbol is subscribed all the time and only
muted; one that does not subscribes when it is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.takeover import Takeover
from pricestreamd.model.interface import MessageCallback
from pricestreamd.model.tick import Tick, symbol_key

_LOOK_SECONDS = 0.5


class Standby:
    """Looks after the feeds of `clients` that have a backup among them. `patience`, `settled`: see `Takeover`."""

    def __init__(self, clients: Mapping[str, WebSocketClient], patience: float, settled: float) -> None:
        self._clients = clients
        self._patience = patience
        self._settled = settled
        self._takeovers: dict[str, Takeover] = {}
        # Feeds that want symbols because they are a backup.
        self._standing_in: set[str] = set()
        # By feed: the spellings of ticks that do not pass.
        self._muted: dict[str, frozenset[str]] = {}
        self.look(time.monotonic())

    def filtered(self, feed: str, callback: MessageCallback) -> MessageCallback:
        """`callback` for the ticks that `feed` is in charge of; itself where nobody ever takes turns with it."""
        involved = {name for client in self._clients.values() if client.settings.backup for name in _pair(client)}
        if feed not in involved:
            return callback
        muted = self._muted

        def passes(tick: Tick) -> None:
            if tick.symbol not in muted.get(feed, ()):
                callback(tick)

        return passes

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            if self._takeovers:
                self.look(time.monotonic())
            await asyncio.sleep(min(_LOOK_SECONDS, self._patience / 4))

    def look(self, now: float) -> None:
        """See who delivers, and change hands where that is due."""
        muted: dict[str, set[str]] = {}
        stand_ins: dict[str, dict[str, str]] = {name: {} for name in self._standing_in if name in self._clients}
        takeovers: dict[str, Takeover] = {}
        for name, client in self._clients.items():
            backup = self._clients.get(client.settings.backup or "")
            if backup is None:
                continue
            takeover = takeovers[name] = self._takeovers.get(name) or Takeover(self._patience, self._settled)
            own = {symbol_key(symbol): symbol for symbol in client.get_subscriptions()}
            down, stale = (frozenset(map(symbol_key, symbols)) for symbols in client.undelivered())
            handover = takeover.look(own, down, stale, now, backup_live=backup.state == "live")
            client.handed_over(backup.name, [own.get(key, key) for key in handover.taken], len(handover.given_back))
            muted.setdefault(name, set()).update(own[key] for key in takeover.taken)
            stand_ins.setdefault(backup.name, {}).update((key, own[key]) for key in takeover.taken)
            theirs = {symbol_key(symbol): symbol for symbol in backup.get_subscriptions()}
            muted.setdefault(backup.name, set()).update(
                theirs[key] for key in own.keys() & theirs.keys() if key not in takeover.taken
            )
        for name, symbols in stand_ins.items():
            self._clients[name].stand_in_for(symbols.values())
        self._takeovers = takeovers
        self._standing_in = {name for name, symbols in stand_ins.items() if symbols}
        self._muted.clear()
        self._muted.update({name: frozenset(symbols) for name, symbols in muted.items()})


def _pair(client: WebSocketClient) -> tuple[str, str]:
    return client.name, client.settings.backup or ""
