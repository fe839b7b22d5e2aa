"""What alerts cannot see because of their feeds: symbols that were refused, have no place, or whose feed is down.

Looked at once a second. A symbol that another feed shows (a backup) is seen. A feed is down when it does not deliver
for longer than its `stale_after.connection` while its market is open: an ordinary reconnect blinds nobody.
"""

from __future__ import annotations

import asyncio
import time

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.service import PriceStreamService

LOOK_SECONDS = 1.0
DOWN = "feed_down"
# For feeds that do not say when silence is too long.
PATIENCE_SECONDS = 60.0


class Blindness:
    """Tells the alerts of `service` what `feeds` cannot show."""

    def __init__(self, feeds: FeedGroup, service: PriceStreamService) -> None:
        self._feeds = feeds
        self._service = service
        # By (feed, symbol as it is compared): since when it is not delivered, by the monotonic clock.
        self._down_since: dict[tuple[str, str], float] = {}
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look(time.monotonic())
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Tell what has changed since the last look."""
        unseen = self._unseen(now)
        before, self._told = self._told, unseen
        for key in before.keys() | unseen.keys():
            old, new = before.get(key), unseen.get(key)
            if old != new:
                for reason, is_unseen in ((new, True), (old, False)):
                    if reason is not None:
                        self._service.engine.alerts.set_unseen(key, reason, unseen=is_unseen, timestamp=time.time())

    def _unseen(self, now: float) -> dict[str, str]:
        """Symbol, as it is compared, to the reason why no feed that wants it shows it."""
        clients = self._feeds.clients.values()
        of_feeds = {client.name: self._unseen_of(client, now) for client in clients}
        self._down_since = {
            (feed, key): since
            for (feed, key), since in self._down_since.items()
            if of_feeds.get(feed, {}).get(key) == DOWN
        }
        found: dict[str, str] = {}
        for name, unseen in of_feeds.items():
            for key, reason in unseen.items():
                shown = any(other.wants(key) and key not in of_feeds[other.name] for other in clients)
                if not shown and (reason != DOWN or self._is_long(name, self._down_since[name, key], now)):
                    found.setdefault(key, reason)
        return found

    def _unseen_of(self, client: WebSocketClient, now: float) -> dict[str, str]:
        found = dict.fromkeys(client.refused_symbols, "refused") | dict.fromkeys(client.unplaced_symbols, "unplaced")
        down = {symbol_key(symbol) for symbol in client.undelivered()[0]} - found.keys()
        if down and not client.market_open:
            down = set()
        for key in down:
            self._down_since.setdefault((client.name, key), now)
        return found | dict.fromkeys(down, DOWN)

    def _is_long(self, feed: str, since: float, now: float) -> bool:
        patience = self._feeds.clients[feed].settings.stale_after.connection
        return now - since >= (patience if isinstance(patience, int | float) else PATIENCE_SECONDS)
