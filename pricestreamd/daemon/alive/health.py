"""The health of the feeds, looked at once a second whether anybody asks or not: for `/health`, metrics, deadman."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from pricestreamd.feeds.group import FeedGroup
from pricestreamd.http.health import LOOK_SECONDS, FeedHealth, FeedWatch
from pricestreamd.stream.service import PriceStreamService


class Health:
    """The judgement of `/health` on the feeds, as of the last look. `by_feed` is empty before the first."""

    def __init__(self, feeds: FeedGroup, service: PriceStreamService) -> None:
        self._feeds = feeds
        self._service = service
        self._watch = FeedWatch()
        self.by_feed: Mapping[str, FeedHealth] = {}

    @property
    def fault(self) -> str | None:
        """Why all is not well, in words; None while the stream runs and every feed is live or its market closed."""
        if not self._service.is_running:
            return "the stream does not run"
        if not self.by_feed:
            return "the feeds are not looked at yet"
        faults = [f"feed {name}: {health.reason}" for name, health in self.by_feed.items() if not health.healthy]
        return "; ".join(faults) or None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> Mapping[str, FeedHealth]:
        """Judge the feeds now."""
        reports = {name: client.report() for name, client in self._feeds.clients.items()}
        self.by_feed = self._watch.look(reports, time.monotonic())
        return self.by_feed
