"""Keeps one feed running, by the rule of `errors:` for one that fails again and again.

A feed ends by itself when its attempts are exhausted, or was told not to connect again; and it is ended when its errors
are too many (`error_policy`). Then `errors.action` says what follows:

restart_feed   the connections are given up, and after `errors.cooldown` the feed begins anew: names are resolved again,
               delays are short again. What its counters have counted stays; what was missed meanwhile is a gap
exit           the process ends, with a code for which a service manager starts it again
none           nothing: it goes on trying; one that has ended by itself stays so until the next start

The operator is told by a critical `price.error`, once until prices come again. While the market of the feed is closed
nobody misses its prices: then it is a warning, and becomes critical when the market opens and the feed still fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from pricestreamd.config.settings import ErrorPolicySettings
from pricestreamd.daemon.error_policy import ErrorCount, is_error
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.model.errors import FeedError
from pricestreamd.model.events import PriceError, Severity
from pricestreamd.model.secret import redact

_log = logging.getLogger(__name__)
# How often a feed that has ended looks whether its market has opened.
_LOOK_SECONDS = 1.0


class FeedKeeper:
    """Runs `client` by `settings()`, asked for anew each time. `stop(reason, code)` ends the process."""

    def __init__(
        self,
        client: WebSocketClient,
        dispatcher: EventDispatcher,
        settings: Callable[[], ErrorPolicySettings],
        stop: Callable[[str, ExitCode], object],
    ) -> None:
        self._client = client
        self._dispatcher = dispatcher
        self._settings = settings
        self._stop = stop
        self._count = ErrorCount()
        self._too_many = asyncio.Event()
        self._why = ""
        client.on_connection(self._changed)

    async def run(self) -> None:
        """The whole life of the feed, until it is disconnected or this is cancelled."""
        while True:
            self._too_many.clear()
            self._count.begin_anew()
            if not await self._run_once():
                return
            settings = self._settings()
            self._tell(settings)
            if settings.action == "exit":
                self._stop(self._why, ExitCode.INTERNAL)
            if settings.action != "restart_feed":
                await self._wait_for_market()
                return
            await asyncio.sleep(settings.cooldown)

    async def _run_once(self) -> bool:
        """Run the feed until it ends or its errors are too many. False: it was told to end."""
        client = self._client
        life = asyncio.create_task(client.run(), name=f"feed {client.name}")
        too_many = asyncio.create_task(self._too_many.wait())
        try:
            await asyncio.wait({life, too_many}, return_when=asyncio.FIRST_COMPLETED)
            if not life.done():
                await client.pause()
            await life
        except FeedError as exc:
            self._count.gave_up(client.counters.accepted)
            self._why = redact(f"feed {client.name} gave up: {exc}")
            return True
        finally:
            for task in (life, too_many):
                task.cancel()
            await asyncio.wait({life, too_many})
        return self._too_many.is_set()

    def _changed(self, change: str, data: Mapping[str, Any]) -> None:
        """The client tells of a connection. What follows is done by `run`: this is inside of the connection."""
        if change != "reconnecting" or not is_error(data["reason"], data["attempt"]):
            return
        settings, client = self._settings(), self._client
        errors = self._count.failed(data["connection"], client.counters.accepted, time.monotonic(), settings)
        self._remind()
        if errors and settings.action != "none":
            last = client.get_stats()["last_error"] or data["reason"]
            self._why = redact(f"feed {client.name} failed {errors} times in {settings.window:g} s, last: {last}")
            self._too_many.set()

    def _tell(self, settings: ErrorPolicySettings) -> None:
        follows = {
            "restart_feed": f"it begins anew in {settings.cooldown:g} s",
            "exit": "the process ends, to be started again",
            "none": "it stays so until the next start",
        }
        self._say(f"{self._why}; {follows[settings.action]}")

    def _say(self, message: str) -> None:
        count, is_open = self._count, self._client.market_open
        if count.told or (count.mentioned and not is_open):
            _log.warning("%s", message)
            return
        severity: Severity = "critical" if is_open else "warning"
        if is_open:
            count.told = True
        else:
            count.mentioned = True
            message += "; its market is closed"
        _log.log(logging.ERROR if is_open else logging.WARNING, "%s", message, extra={"told_as": PriceError.event})
        self._dispatcher.error("feed_failed", message, severity=severity, feed=self._client.name)

    def _remind(self) -> None:
        """It still fails: what was told of a closed market only is critical now, if that is open."""
        if self._count.mentioned and not self._count.told and self._client.market_open:
            self._say(f"{self._why}; its market is open now, and it still fails")

    async def _wait_for_market(self) -> None:
        """The feed has ended for good; whoever was told so while its market was closed wants to know when it opens."""
        while self._count.mentioned and not self._count.told:
            await asyncio.sleep(_LOOK_SECONDS)
            self._remind()
