"""The last prices after a gap, asked for over HTTP where the provider can tell them.

A stream says nothing of what it did not send: a symbol that crossed a threshold while the connection was down, and
has been quiet since, would stay unnoticed until its next trade. So after a gap its last price is asked for; the tick
that comes of it is marked `late`. A symbol that has ticked meanwhile needs none, and the provider is asked no more than
once a minute, for the symbols of all connections together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus

from pricestreamd.feeds.transports.fetch import fetch
from pricestreamd.feeds.transports.transport import Options
from pricestreamd.model.errors import FeedError
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Adapter

# Such requests cost credits with some providers; a connection that comes and goes must not use them up.
_SECONDS_BETWEEN = 60.0
# Connections that were lost together come back one after the other, within about so many seconds.
_GATHERING = 0.5
# A server that answers so will not answer otherwise tomorrow: it does not know the question, or not this key.
_REFUSALS = frozenset({400, 401, 403, 404, 405})

_log = logging.getLogger(__name__)


class Backfill:
    """Asks for feed `name`. `latest`: the feed's last tick of each symbol; `deliver` takes what is found."""

    def __init__(
        self,
        name: str,
        new_adapter: Callable[[], Adapter],
        options: Callable[[], Awaitable[Options]],
        latest: Mapping[str, Tick],
        deliver: Callable[[Tick], object],
    ) -> None:
        self.name = name
        self.refused = False
        """The server does not tell last prices: it is not asked again."""
        self._new_adapter = new_adapter
        self._options = options
        self._latest = latest
        self._deliver = deliver
        # Symbol to the end of its gap, epoch seconds: a tick received since then is newer than any answer.
        self._gaps: dict[str, float] = {}
        self._asked_at = -_SECONDS_BETWEEN
        self._task: asyncio.Task[None] | None = None
        self._said = OncePer(60.0)

    def ask(self, symbols: Iterable[str]) -> None:
        """Ask for the last prices of `symbols`, soon: prices of them come again from now on."""
        symbols = list(symbols)
        if self.refused or not self._new_adapter().backfill(symbols[:1]):
            return
        self._gaps.update(dict.fromkeys(symbols, time.time()))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"feed {self.name} backfill")

    async def stop(self) -> None:
        """Ask no more."""
        self._gaps.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while self._gaps:
            await asyncio.sleep(max(_GATHERING, self._asked_at + _SECONDS_BETWEEN - time.monotonic()))
            gaps, self._gaps = self._gaps, {}
            gaps = {symbol: since for symbol, since in gaps.items() if self._is_quiet(symbol, since)}
            if not gaps:
                continue
            self._asked_at = time.monotonic()
            try:
                await self._fill(gaps)
            except FeedError as exc:
                held = self._said.admit("failed", time.monotonic())
                if held is not None:
                    extra = {"suppressed": held}
                    _log.warning("feed %s: last prices not found: %s", self.name, redact(str(exc)), extra=extra)

    def _is_quiet(self, symbol: str, since: float) -> bool:
        known = self._latest.get(symbol)
        return known is None or known.received_at < since

    async def _fill(self, gaps: Mapping[str, float]) -> None:
        adapter, options = self._new_adapter(), await self._options()
        for symbol in gaps:
            adapter.symbols.add(symbol)
        for request in adapter.backfill(list(gaps)):
            response = await fetch(request, options)
            if response.status in _REFUSALS:
                self.refused = True
                self._gaps.clear()
                _log.info("feed %s: its server tells no last prices (HTTP %d)", self.name, response.status)
                return
            if response.status != HTTPStatus.OK:
                raise FeedError(f"the provider answered with HTTP {response.status}", feed=self.name)
            for tick in adapter.decode_backfill(request, response.body, time.time()):
                if tick.symbol in gaps and self._is_quiet(tick.symbol, gaps[tick.symbol]):
                    self._deliver(tick)
