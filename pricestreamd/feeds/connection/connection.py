"""One connection at work: performs what its session commands, and reads.

Three things run while a connection is open: the read loop, which is the path of a tick; a writer, so that a peer that
does not read holds up nobody; and one timer, which wakes the session. Between connections there is only the timer.

The read loop has no timeout, task, lock or log call per message, and reads the clock once per frame.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from aiohttp import WSMsgType

from pricestreamd.feeds.connection import debug_log
from pricestreamd.feeds.connection.commands import (
    Abort,
    Close,
    Command,
    Fact,
    Open,
    Ping,
    Pong,
    Replace,
    Send,
    WaitUntil,
)
from pricestreamd.feeds.connection.session import Session
from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.connection.writer import Writer
from pricestreamd.feeds.counters import FeedCounters
from pricestreamd.feeds.transports.transport import CLOSE_TIMEOUT, Transport, UpgradeRefused
from pricestreamd.model.errors import FeedError
from pricestreamd.model.interface import MessageCallback
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Adapter, Ignored, Message, Rejected

# `receive` does not yield while messages are buffered; others want their turn. A power of two, less one.
_YIELD_MASK = 255
# The lag is observed for one tick in so many, less one: an observation costs a tenth of a tick.
_SAMPLE_MASK = 63

_now = time.monotonic
_TEXT, _BINARY, _PING, _PONG = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG


FrameCallback = Callable[[bytes, float], object]
"""Gets each raw message and its receive time, epoch seconds."""


class Owner(Protocol):
    """Who a connection belongs to: it is told what happens."""

    @property
    def refused(self) -> Tick | None:
        """The last tick of which a callback has said that it could not be used."""

    def told(self, fact: Fact, connection: Connection) -> None:
        """Something happened."""

    def replace(self, connection: Connection, reason: str) -> None:
        """`connection` wants to be replaced, without a break where that is possible."""

    def rejected(self, message: Rejected, data: bytes) -> None:
        """A frame gave no tick."""

    def callback_failed(self, callback: object, exc: Exception) -> None:
        """A callback raised."""


class Connection:
    """A connection in slot `number` of a feed. `dial` opens a transport; `owner` hears of everything.

    `latest` is the feed's own memory of the last tick of each symbol. `on_frame` sees every message before it is
    decoded.
    """

    def __init__(
        self,
        number: int,
        session: Session,
        dial: Callable[[Adapter], Awaitable[Transport]],
        owner: Owner,
        *,
        latest: dict[str, Tick] | None = None,
        on_frame: FrameCallback | None = None,
    ) -> None:
        self.number = number
        self.session = session
        self.counters = FeedCounters()
        """What came over this connection."""
        self.callbacks: tuple[MessageCallback, ...] = ()
        """They hear every tick, inline."""
        self.since = time.time()
        """Epoch seconds at which the session's state began."""
        self.opened_at: float | None = None
        """When the present or the last transport was opened, on the monotonic clock."""
        self.host: str | None = None
        self.port: int | None = None
        self.openings = 0
        """How often a transport was opened."""
        self.reason = "stopped"
        """Why it was begun in another's place; a word of `verdict.EXPECTED`."""
        self.last_error: str | None = None
        self.gap: tuple[float, str] | None = None
        """Since when (epoch seconds) prices have been missed, and why; None while they come."""
        self._dial = dial
        self._owner = owner
        self._latest = {} if latest is None else latest
        self._on_frame = on_frame
        self._state = session.state
        self._sampled: Tick | None = None
        self._todo: deque[Command] = deque()
        self._performing = False
        self._writer: Writer | None = None
        self._changed = asyncio.Event()
        self._dial_wanted = False
        self._dialling: asyncio.Future[Transport] | None = None
        self._socket: Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._crash: BaseException | None = None

    # --- life

    async def run(self, *, supervised: bool, patient: bool | None = None) -> None:
        """Dial, read and dial again until `stop`, or until the session ends with an error, which is raised.

        `supervised` and `patient`: as `Session.start`.
        """
        self._running = asyncio.current_task()
        self.perform(self.session.start(_now(), supervised=supervised, patient=patient))
        try:
            while self.session.state != "stopped" and self._crash is None:
                if not self._dial_wanted:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                self._dial_wanted = False
                if (socket := await self._open()) is not None:
                    await self._serve(socket)
        finally:
            self.perform(self.session.stop(_now(), deliberate=False))
            if self._timer is not None:
                self._timer.cancel()
            self._running = None
            crash, self._crash = self._crash, None
        if crash is not None:
            raise crash
        if self.session.error is not None:
            raise self.session.error

    async def stop(self, reason: str = "stopped") -> None:
        """Give up the symbols, say goodbye and end `run`, within `CLOSE_TIMEOUT`; whatever is not done then is cut."""
        running = self._running
        self.perform(self.session.stop(_now(), reason=reason))
        if self._dialling is not None:
            self._dialling.cancel()
        if running is None or running.done():
            return
        await asyncio.wait({running}, timeout=CLOSE_TIMEOUT)
        if self._socket is not None:
            self._socket.abort()
        await asyncio.wait({running})

    async def _open(self) -> Transport | None:
        dialling = self._dialling = asyncio.ensure_future(self._dial(self.session.adapter))
        try:
            return await dialling
        except FeedError as error:
            error.feed = self.session.name
            text = error.text if isinstance(error, UpgradeRefused) else ""
            self.perform(self.session.refused(error, _now(), text))
            return None
        except asyncio.CancelledError:
            # Either `stop` has cancelled the dial, or somebody cancels us, perhaps as the dial succeeded.
            if dialling.done() and not dialling.cancelled() and dialling.exception() is None:
                await dialling.result().discard()
            if self.session.state == "stopped" and not _being_cancelled():
                return None
            raise
        finally:
            self._dialling = None

    async def _serve(self, socket: Transport) -> None:
        self._socket = socket
        self.host, self.port = socket.host, socket.port
        writer = self._writer = Writer(socket, self.counters, self.session.name)
        self.opened_at = _now()
        self.openings += 1
        counters = self.counters
        loss = Loss("stopped")
        try:
            self.perform(self.session.opened(_now(), counters.frames_received, counters.accepted))
            loss = await self._read(socket)
            if writer.says_goodbye:
                await writer.finish()
        except BaseException:
            self.perform(self.session.stop(_now(), deliberate=False))
            raise
        finally:
            self._socket = self._writer = None
            await writer.stop()
            await socket.discard()
            self.perform(self.session.lost(loss, _now()))
        writer.raise_bug()

    # --- the path of a tick

    async def _read(self, socket: Transport) -> Loss:  # noqa: C901, PLR0912 - one flat loop: a call costs as much as a branch
        receive, decode, clock = socket.receive, self._decode(), time.time
        counters, owner, latest = self.counters, self._owner, self._latest
        while True:
            kind, data, extra = await receive()
            if kind is _TEXT or kind is _BINARY:
                counters.frames_received = count = counters.frames_received + 1
                counters.received_bytes += len(data)
                counters.last_message_at = received_at = clock()
                for message in decode(data, received_at):
                    if type(message) is Tick:
                        counters.ticks += 1
                        for callback in self.callbacks:
                            try:
                                callback(message)
                            except Exception as exc:  # noqa: BLE001 - a listener: whatever it does, reading goes on
                                owner.callback_failed(callback, exc)
                        if owner.refused is message:
                            counters.refused += 1  # no news: what looks for silence does not hear it
                        else:
                            counters.latest = latest[message.symbol] = message
                    elif type(message) is Rejected:
                        owner.rejected(message, data)
                    elif type(message) is Ignored:
                        counters.ignored += 1
                    else:
                        debug_log.heard(self.session.name, message)
                        self.perform(self.session.message(message, _now()))
                if not count & _SAMPLE_MASK:
                    self._sample_lag()
                    if not count & _YIELD_MASK:
                        await asyncio.sleep(0)
            elif kind is _PING:
                debug_log.heard_frame(self.session.name, "ping")
                self.perform(self.session.pinged(bytes(data), _now()))
            elif kind is _PONG:
                debug_log.heard_frame(self.session.name, "pong")
                self.perform(self.session.ponged(_now()))
            else:
                return socket.loss(kind, data, extra)

    def _decode(self) -> Callable[[bytes, float], Iterable[Message]]:
        decode, on_frame = self.session.adapter.decode, self._on_frame
        if on_frame is None:
            return decode

        def shown(data: bytes, received_at: float) -> Iterable[Message]:
            on_frame(data, received_at)
            return decode(data, received_at)

        return shown

    def _sample_lag(self) -> None:
        counters = self.counters
        if (latest := counters.latest) is not self._sampled and (lag := counters.lag_seconds) is not None:
            self._sampled = latest
            counters.lag.observe(lag)

    # --- commands

    def perform(self, commands: Iterable[Command]) -> None:
        """Do what the session commands. What is told may lead to more commands: they wait for their turn."""
        self._todo.extend(commands)
        if self._performing:
            return
        self._performing = True
        try:
            while self._todo:
                self._do(self._todo.popleft())
        finally:
            self._performing = False
            if self.session.state != self._state:
                debug_log.changed(self.session.name, self._state, self.session.state, self._dial_in())
                self._state = self.session.state
                self.since = time.time()
                self._changed.set()

    def _do(self, command: Command) -> None:
        match command:
            case WaitUntil():
                self._wait_until(command.when)
            case Send() | Ping() | Pong() | Close():
                if self._writer is not None:
                    self._writer.put(command)
            case Abort():
                if self._socket is not None:
                    self._socket.abort()
            case Open():
                self._dial_wanted = True
                self._changed.set()
            case Replace(reason):
                self._owner.replace(self, reason)
            case _:
                self._owner.told(command, self)

    def _wait_until(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if when is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, when - _now()), self._wake)

    def _dial_in(self) -> float | None:
        """Seconds until the next attempt; None where none is waited for."""
        waiting = self._timer is not None and self.session.state in ("backoff", "parked")
        return self._timer.when() - asyncio.get_running_loop().time() if self._timer and waiting else None

    def _wake(self) -> None:
        counters = self.counters
        try:
            self._sample_lag()
            self.perform(self.session.wake(_now(), counters.frames_received, counters.accepted))
        except BaseException as exc:
            # A bug. Without this the session would never be woken again, and nobody would know.
            self._crash = exc
            if self._socket is not None:
                self._socket.abort()
            self._changed.set()
            raise


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
