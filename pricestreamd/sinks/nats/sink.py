"""The sink `nats`: each event is a message in JetStream, delivered when JetStream has acknowledged it.

    subject       <prefix>.<event>.<symbol>, as pricestream.price.update.BTC=2FUSD
    Nats-Msg-Id   the firing_id of an alert, else the event's id; the same at every attempt
    body          the flat JSON object of every other wire

A byte of the symbol outside A-Z a-z 0-9 _ - is `=` and two hex digits; a symbol that is not there is `=`, so that the
subjects of an event all have the same number of parts. Needs the extra `nats`; imported only where it is configured.

Within its window of duplicates a stream leaves out what it has already, by `Nats-Msg-Id`. What was acknowledged of a
batch that failed is not sent again at all. What was taken without its answer reaching us, and is sent again when that
window has passed, is in the stream twice: whoever reads knows it by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import Any

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import CustomEvent, Event, to_json
from pricestreamd.sinks.base import MOST_AT_ONCE, message_id
from pricestreamd.sinks.nats.link import FOREIGN, Message, NatsLink
from pricestreamd.sinks.settings import NatsSinkSettings
from pricestreamd.sinks.waiting import ended

# A delivery, connecting included, takes no longer.
DEADLINE = 10.0
# Messages are made on the loop, so many at a time (half a millisecond).
SLICE = 128

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_NOTHING = "="


class NatsSink:
    """Publishes events below `settings.prefix`. `deadline` in seconds.

    Raises:
        SinkError: the address, a file or the prefix cannot be used.
    """

    carries = ("*",)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str, settings: NatsSinkSettings, *, deadline: float = DEADLINE) -> None:
        self.name = name
        self.settings = settings
        self._deadline = deadline
        if not all(part and _PLAIN.issuperset(part.encode()) for part in settings.prefix.split(".")):
            text = f"sink {name}: its prefix must be of A-Z a-z 0-9 _ - and single dots between"
            raise SinkError(text, sink=name, transient=False)
        self._link = NatsLink(settings, name)
        # Ids that were acknowledged in batches that failed, in that order.
        self._acked: dict[str, None] = {}

    async def open(self) -> None:
        """Connect, and see whether a stream is there.

        Raises:
            SinkError: it is not; transient, as somebody may set it right.
        """
        await self._bounded(self._link.look_up(f"{self.settings.prefix}.>"))

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Publish `batch`; returns when every event of it is acknowledged.

        Raises:
            SinkError: not all of it is. Not transient: an event in it will never be taken.
        """
        messages: list[Message] = []
        for start in range(0, len(batch), SLICE):
            if start:
                await asyncio.sleep(0)
            messages += map(self._message, batch[start : start + SLICE])
        missing = [message for message in messages if message.id not in self._acked]
        whole = False
        try:
            if missing:
                await self._bounded(self._link.publish(missing))
            self._judge(missing)
            whole = True
        finally:
            self._remember(messages, missing, whole=whole)

    async def close(self) -> None:
        """Disconnect. All that was delivered is acknowledged, so nobody is waited for."""
        await self._link.let_go()

    def _message(self, event: Event) -> Message:
        try:
            body = to_json(event)
        except (TypeError, ValueError, RecursionError) as exc:
            raise SinkError(f"{event.id} has no form in JSON: {exc}", sink=self.name, transient=False) from exc
        return Message(f"{self.settings.prefix}.{subject_of(event)}", message_id(event), body)

    def _judge(self, messages: Sequence[Message]) -> None:
        """Raise what went wrong with one of `messages`; first what may yet be taken."""
        errors = [message.error for message in messages if message.error is not None]
        for error in sorted(errors, key=lambda error: not error.transient):
            raise error

    def _remember(self, batch: Sequence[Message], sent: Sequence[Message], *, whole: bool) -> None:
        acked = self._acked
        if whole:
            for message in batch:
                acked.pop(message.id, None)
            return
        acked.update((message.id, None) for message in sent if message.acked)
        # Of batches that were given up nobody asks again.
        while len(acked) > 2 * MOST_AT_ONCE:
            del acked[next(iter(acked))]

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` within the deadline; where it does not end, or goes wrong, the connection is given up.

        It is a task of its own because the library swallows a cancellation here and there.
        """
        task = asyncio.create_task(work, name=f"sink {self.name} nats")
        in_time = True
        try:
            await asyncio.wait({task}, timeout=self._deadline)
        finally:
            if not task.done():
                in_time = await ended(task)
                await self._link.let_go()
        if not in_time:
            raise SinkError(f"{self._link.place}: no answer within {self._deadline:g} s", sink=self.name)
        try:
            task.result()
        except (SinkError, *FOREIGN) as exc:
            await self._link.let_go()
            if isinstance(exc, SinkError):
                raise
            raise self._link.told(exc) from exc


def subject_of(event: Event) -> str:
    """`<event>.<symbol>`."""
    symbol = event.data.get("symbol") if isinstance(event, CustomEvent) else getattr(event, "symbol", None)
    return f"{_name(event.event)}.{_token(symbol) if isinstance(symbol, str) else _NOTHING}"


@lru_cache(maxsize=1024)
def _name(event: str) -> str:
    return ".".join(map(_token, event.split(".")))


# More than the symbols of a large market.
@lru_cache(maxsize=65_536)
def _token(text: str) -> str:
    encoded = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in encoded) or _NOTHING
