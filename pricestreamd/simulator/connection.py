"""One client of the simulator: what it hears, and the ways in which its connection can end. All faces share this."""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from pricestreamd.simulator.dialect import Channel, Dialect, Session, Voice, keys_of
from pricestreamd.simulator.framing import Framing
from pricestreamd.simulator.ledger import Life
from pricestreamd.simulator.strip import Choice, Wanted

# Enough to keep the network busy while the next prices are made, and little to lose when the connection drops.
_HIGH_WATER_BYTES = 1 << 18
# Without waiting: what may pile up for a client that does not read, some 20,000 prices.
_STUCK_BYTES = 1 << 22
# What a socket holds for a client that does not read, where the scenario wants it small. The kernel doubles it.
_SMALL_BYTES = 1 << 14
# Where nothing is read any more, a client's leaving shows only in the state of the transport.
_LOOK_SECONDS = 0.05
# A close frame that the client does not answer is not waited for any longer.
CLOSE_SECONDS = 1.0


class Connection(ABC):
    """A connection after its upgrade. Bytes are written to the transport itself, many messages at once.

    `number` counts from 1. `key`: the provider's key that it came with. `listening`: the voices that it hears, and
    which symbols of ticks by each; `subscribed` are the keys of all. `muted`: silenced. `sent` counts the prices
    written to it. `unanswered`: pings. `life`: its page in the ledger. `slices`: bytes written at a time, 0 for all.
    `ending`: how it was ended from here, at `ended_at`; None: it lives, or the client ended it.
    """

    framing: Framing
    eof = "eof"
    """What the end of TCP without a goodbye is to a client of this face."""

    def __init__(self, dialect: Dialect, session: Session, key: str, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self.number = 0
        self.dialect = dialect
        self.session = session
        self.key = key
        self.subscribed: tuple[str, ...] = ()
        self.listening: tuple[tuple[Voice, Mapping[str, bool]], ...] = ()
        self.muted = False
        self.sent = 0
        self.life: Life | None = None
        self.slices = 0
        self.unanswered: set[str] = set()
        self.ending: str | None = None
        self.ended_at: float | None = None
        self._transport = transport
        self.opened_at = self._stuck_since = self._now()
        self._dead = False

    # --- what it hears

    @property
    def heard(self) -> bool:
        """Whether prices go to this client now."""
        return bool(self.listening) and not self.muted and self.writable

    @property
    def writable(self) -> bool:
        """Whether anything may be written to it."""
        return not self._dead and self.ending is None and not self._transport.is_closing()

    @property
    def dead(self) -> bool:
        """Whether nothing is said or answered any more, while TCP stays open."""
        return self._dead

    def listen(self, channels: Sequence[Channel]) -> None:
        """Hear these and nothing else from now on."""
        self.subscribed = keys_of(channels)
        self.listening = tuple((channel.voice, Wanted((self.dialect,), channel.keys)) for channel in channels)

    def say(self, texts: Sequence[str]) -> None:
        """Send messages at once."""
        self.write(self.framing.join(texts))

    def send_prices(self, choice: Choice) -> None:
        """Send prices, ready-made. For a connection that is `heard`."""
        self.write(choice.frames)
        self.sent += choice.count
        if self.life is not None:
            self.life.numbers.extend(choice.numbers)
            self.life.times.extend([self._now()] * len(choice.numbers))

    def write(self, data: bytes) -> None:
        """Write bytes of this face, if anything may be written."""
        if not self.writable:
            return
        data = self.wrapped(data)
        if not self.slices:
            self._transport.write(data)
            return
        for at in range(0, len(data), self.slices):
            self._transport.write(data[at : at + self.slices])

    def wrapped(self, data: bytes) -> bytes:
        """What goes onto the wire for `data`."""
        return data

    @abstractmethod
    def sign_of_life(self, text: str) -> None:
        """The server's own: a ping, or a comment."""

    @abstractmethod
    def tear(self, how: str) -> None:
        """The beginning of a message without its end, as `Scenario.torn` says; or more of one without an end."""

    # --- clients that do not read

    def shrink(self) -> None:
        """Hold little for a client that does not read."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BYTES)

    @abstractmethod
    async def drain(self) -> None:
        """Return when the client has taken most of what was sent."""

    async def drained(self, patience: float) -> None:
        """As `drain`; drop the client when that takes `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self.drain()
        except TimeoutError:
            self._abort("slow reader")
        except ConnectionError:
            return

    def drop_if_stuck(self, patience: float) -> None:
        """Drop a client that has left too much lying, or something for `patience` seconds."""
        lying = self._transport.get_write_buffer_size()
        now = self._now()
        if not lying:
            self._stuck_since = now
        if lying > _STUCK_BYTES or now - self._stuck_since > patience:
            self._abort("slow reader")

    # --- ends

    def die(self) -> None:
        """Say and answer nothing from now on. TCP stays open, so that the client learns nothing."""
        self._dead = True

    def cut(self, *, reset: bool = False) -> None:
        """End the TCP stream without a close frame: after what was written before, or by a reset at once."""
        if not reset:
            self.end(self.eof)
            self._transport.close()
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # To linger for 0 s is to close with a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._abort("reset")

    @abstractmethod
    def part(self, code: int, reason: str = "") -> None:
        """Say goodbye as this face does, with `code` and `reason` where it has them, and nothing more."""

    @abstractmethod
    async def close(self, code: int, reason: str = "") -> None:
        """As `part`, and wait, not long, for the client's goodbye."""

    async def leave(self, code: int) -> None:
        """End it for good, within a second: politely, unless the client has stopped reading."""
        if self._transport.get_write_buffer_size() > _HIGH_WATER_BYTES:
            self._abort("abort")
        await self.close(code)
        self._transport.abort()

    def _abort(self, why: str) -> None:
        self.end(why)
        self._transport.abort()

    def end(self, how: str) -> None:
        """Nothing more is written: it ends now, and how is told by the first who said so."""
        if self.ending is None:
            self.ending, self.ended_at = how, self._now()

    @property
    def closed(self) -> bool:
        """Whether the TCP stream is over, or about to be."""
        return self._transport.is_closing()

    async def vanished(self) -> None:
        """Return when the TCP stream is over, by the client's doing or by ours."""
        while not self.closed:  # noqa: ASYNC110 - nobody tells where nobody reads
            await asyncio.sleep(_LOOK_SECONDS)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
