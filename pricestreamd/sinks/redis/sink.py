"""The sink `redis`: the last price of each symbol as a key that expires, and all events in a stream or a channel.

Needs the extra `redis`; imported only where it is configured.

    SETEX <prefix>last:AAPL <ttl> 200.35            price.update, price.change and price.spike; the newest of a batch
    XADD <key> MAXLEN ~ <maxlen> * json {...}       every event
    PUBLISH <channel> {...}                         every event

With a stream or a channel a batch is one transaction (MULTI), so that its events keep their order.

Never an older price over a newer one: a symbol's prices have an order of our own, by run and sequence, and what is
behind the newest that was ever sent is left out. So a clock decides nothing within a run. What a server may still carry
out late of a connection that was given up is dropped (see `link`). A suspect print is no last price. An alert is
none either: it may come hours late.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from decimal import Decimal

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, PriceAlert, PriceChange, PriceSpike, PriceUpdate, to_json
from pricestreamd.sinks.base import MOST_AT_ONCE
from pricestreamd.sinks.redis.link import SLICE, Command, RedisLink
from pricestreamd.sinks.settings import RedisSinkSettings

# An attempt, connecting included, takes no longer.
DEADLINE = 5.0

# So begins the answer to an expiry of 0 seconds.
_NO_EXPIRY = "invalid expire"
_PRICED = (PriceUpdate.event, PriceChange.event, PriceSpike.event)


class RedisSink:
    """Writes last prices, and events where `settings` name a stream or a channel. `deadline` in seconds.

    Raises:
        SinkError: the address cannot be used.
    """

    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str, settings: RedisSinkSettings, *, deadline: float = DEADLINE) -> None:
        self.name = name
        self.settings = settings
        self._deadline = deadline
        self._link = RedisLink(settings.url, name)
        self._ttl = math.ceil(settings.ttl)
        # Of each symbol the newest that was sent: its run and sequence. One entry a symbol of the configuration.
        self._newest: dict[str, tuple[str, int]] = {}

    @property
    def carries(self) -> tuple[str, ...]:
        """Everything, where there is a place for it; else what is a last price."""
        return ("*",) if self.settings.stream or self.settings.pubsub else _PRICED

    async def open(self) -> None:
        """Connect.

        Raises:
            SinkError: not connected; transient, as somebody may set it right.
        """
        try:
            async with asyncio.timeout(self._deadline):
                await self._link.connect()
        except TimeoutError as exc:
            raise self._late() from exc

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Send `batch`; returns when the server has answered every command.

        Raises:
            SinkError: not all of it was taken. Not transient: an event in it has no form.
        """
        if self.carries == _PRICED and any(isinstance(event, PriceAlert) for event in batch):
            text = f"sink {self.name} has no place for alerts: give it a stream or a channel (pubsub)"
            raise SinkError(text, sink=self.name, transient=False)
        commands = self._last_prices(batch)
        if self.settings.stream or self.settings.pubsub:
            for start in range(0, len(batch), SLICE):
                if start:
                    await asyncio.sleep(0)
                for event in batch[start : start + SLICE]:
                    commands += self._copies(event)
        if not commands:
            return
        try:
            async with asyncio.timeout(self._deadline):
                # A copy that is refused must not be overtaken by the one behind it, for which there was room again.
                await self._link.call(commands, whole=bool(self.settings.stream or self.settings.pubsub))
        except TimeoutError as exc:
            raise self._late() from exc

    async def probe(self) -> None:
        """Have the server check all that a price needs: its rights, room, and that it takes writes.

        By a SETEX that it refuses for its expiry of 0 seconds, which it looks at last. So nothing is written.

        Raises:
            SinkError: it would not take one.
        """
        key = self._text(f"{self.settings.prefix}last:test")
        try:
            async with asyncio.timeout(self._deadline):
                await self._link.call([("SETEX", key, 0, b"0")], welcome=_NO_EXPIRY)
        except TimeoutError as exc:
            raise self._late() from exc

    async def close(self) -> None:
        """Disconnect."""
        await self._link.close()

    def _last_prices(self, batch: Sequence[Event]) -> list[Command]:
        newest = self._newest
        latest: dict[str, PriceUpdate] = {}
        for event in batch:
            if not isinstance(event, PriceUpdate) or event.suspect or isinstance(event, PriceAlert):
                continue
            order = event.run, event.sequence
            if order >= newest.get(event.symbol, order):
                newest[event.symbol] = order
                latest[event.symbol] = event
        prefix = f"{self.settings.prefix}last:"
        return [
            ("SETEX", self._text(f"{prefix}{symbol}"), self._ttl, price_text(event.price).encode())
            for symbol, event in latest.items()
        ]

    def _copies(self, event: Event) -> list[Command]:
        """The commands by which the stream and the channel get `event`."""
        try:
            body = to_json(event)
        except (TypeError, ValueError, RecursionError) as exc:
            raise SinkError(f"{event.id} has no form in JSON: {exc}", sink=self.name, transient=False) from exc
        found: list[Command] = []
        if stream := self.settings.stream:
            found.append(("XADD", self._text(stream.key), "MAXLEN", "~", stream.maxlen, "*", "json", body))
        if pubsub := self.settings.pubsub:
            found.append(("PUBLISH", self._text(pubsub.channel), body))
        return found

    def _text(self, text: str) -> bytes:
        return text.encode("utf-8", "surrogatepass")

    def _late(self) -> SinkError:
        return SinkError(f"{self._link.place}: no answer within {self._deadline:g} s", sink=self.name)


def price_text(price: float) -> str:
    """The shortest decimal that reads back as `price`, always with a point and never with an exponent."""
    text = repr(price)
    if "e" not in text:
        return text
    plain = format(Decimal(text), "f")
    return plain if "." in plain else f"{plain}.0"
