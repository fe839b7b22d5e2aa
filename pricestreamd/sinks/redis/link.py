"""The connection of the sink `redis`: commands go out together, and nothing comes late of one that was given up.

What was sent and not answered may be carried out late: a system goes on sending it for a closed connection when the
network is back, a proxy keeps it, a server that hangs has it waiting. It may then come after what was sent by the next
connection, and an old price would stand over a new one. So a connection remembers who it is to the server
(`CLIENT INFO`). Where it was given up before all was answered, the next one has the server drop it (`CLIENT KILL`)
before it sends anything of its own: what was carried out by then came before, and the rest never will be.

The library's own attempts at connecting again are off: who calls owns the schedule. There are no timeouts a reply:
the caller sets one deadline around the whole, and may cancel at any point.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the library's own, which is no OSError
    InvalidResponse,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - as that
)

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.said import said_by
from pricestreamd.sinks.waiting import aside

CONNECT_SECONDS = 3.0
# What a person must mend is not asked for every second.
MENDED_SECONDS = 60.0
# Packing and reading a command costs the loop some microseconds: so many at a time (about a millisecond).
SLICE = 128

Command = tuple[bytes | str | int, ...]

_log = logging.getLogger(__name__)

_AUTHENTICATION = (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError)


class RedisLink:
    """One connection to the server at `url`, made when it is needed. `sink` is the name that errors carry.

    Raises:
        SinkError: the address cannot be used.
    """

    def __init__(self, url: Secret, sink: str) -> None:
        self._sink = sink
        try:
            # The library leaves most of its types out.
            pool: Any = ConnectionPool.from_url(
                url.reveal(),
                protocol=2,
                socket_timeout=None,
                socket_connect_timeout=CONNECT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                client_name="pricestreamd",
            )
            self._pool = pool
            made = pool.make_connection()
        except (ValueError, TypeError, RedisError):
            text = "expected redis://user:password@host:port/db, or rediss:// for TLS"
            raise SinkError(f"sink {sink}: its address cannot be used: {text}", sink=sink, transient=False) from None
        self.place = ":".join(str(value) for name, value in made.repr_pieces() if name in ("host", "port", "path"))
        self._tls = hasattr(made, "ssl_context")
        self._connection: Any = None
        self._identity: tuple[str, str] | None = None
        self._doubtful: set[tuple[str, str]] = set()
        self._unfenced_told = False

    async def connect(self) -> None:
        """Connect, unless it is connected. Raises SinkError."""
        if self._connection is not None:
            return
        connection = self._pool.make_connection()
        try:
            await self._read_certificates(connection)
            await connection.connect()
            identity = await self._introduce(connection)
        except BaseException as exc:
            await connection.disconnect(nowait=True)
            if isinstance(exc, RedisError | OSError):
                raise self._told(exc) from exc
            raise
        self._connection, self._identity = connection, identity

    async def call(self, commands: Sequence[Command], *, whole: bool = False, welcome: str = "") -> None:
        """Have all `commands` carried out, in their order; `whole`: all, or none where the server has no room for one.

        `welcome`: how an answer begins that says no and is what was asked for.

        An idle connection that turns out to be closed is made anew at once.

        Raises:
            SinkError: one of them was not carried out; the others may have been.
        """
        if whole:
            commands = [("MULTI",), *commands, ("EXEC",)]
        was_idle = self._connection is not None
        await self.connect()
        try:
            replies = await self._exchange(commands)
        except ConnectionError as exc:
            if not was_idle:
                raise self._told(exc) from exc
            await self.connect()
            try:
                replies = await self._exchange(commands)
            except (RedisError, OSError) as again:
                raise self._told(again) from again
        except (RedisError, OSError) as exc:
            raise self._told(exc) from exc
        for reply in replies:
            if welcome and str(reply).startswith(welcome):
                continue
            if isinstance(reply, ReadOnlyError):
                # Another one takes the writes now, and the next connection may lead to it.
                await self.close()
            raise self._told(reply) from reply

    async def close(self) -> None:
        """Let go of the connection, without waiting for anybody."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _exchange(self, commands: Sequence[Command]) -> list[ResponseError]:
        """Send `commands` and read all replies; returns those that say no."""
        connection = self._connection
        assert connection is not None  # noqa: S101 - connect has just made it
        refused: list[ResponseError] = []
        whole = False
        try:
            for start in range(0, len(commands), SLICE):
                await connection.send_packed_command(connection.pack_commands(commands[start : start + SLICE]))
                await asyncio.sleep(0)
            for number in range(len(commands)):
                try:
                    reply = await connection.read_response(disable_decoding=True)
                except ResponseError as exc:
                    refused.append(exc)
                else:
                    # Of EXEC: what came of each.
                    refused += (
                        [each for each in reply if isinstance(each, ResponseError)] if type(reply) is list else ()
                    )
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
            whole = True
        finally:
            if not whole:
                if self._identity is not None:
                    self._doubtful.add(self._identity)
                self._connection = None
                await connection.disconnect(nowait=True)
        return refused

    async def _read_certificates(self, connection: Any) -> None:
        """Have what TLS needs made, which `connection` keeps: it takes 50 ms, which the loop does not have."""
        tls = getattr(connection, "ssl_context", None)
        if tls is None:
            return
        try:
            await aside(f"sink {self._sink} certificates", tls.get)
        except OSError as exc:
            text = f"{self.place}: the certificates that its url names cannot be used: {said_by(exc)}"
            raise SinkError(text, sink=self._sink, retry_after=MENDED_SECONDS) from exc

    async def _introduce(self, connection: Any) -> tuple[str, str] | None:
        """Drop connections that were given up, and ask who this one is: its id and its address, as the server sees it.

        An id alone would not do: a server that was restarted counts from 1 again, and gives it to somebody else.
        """
        try:
            for number, address in list(self._doubtful):
                await self._ask(connection, "CLIENT", "KILL", "ID", number, "ADDR", address)
                self._doubtful.discard((number, address))
            answer = await self._ask(connection, "CLIENT", "INFO")
        except ResponseError as exc:
            self._doubtful.clear()
            if not self._unfenced_told:
                self._unfenced_told = True
                text = "after a broken connection an older price may stand for a moment"
                _log.warning(
                    "sink %s: %s refuses CLIENT INFO or CLIENT KILL (%s): %s", self._sink, self.place, exc, text
                )
            return None
        said = dict(word.partition("=")[::2] for word in answer.decode(errors="replace").split())
        return said["id"], said["addr"]

    async def _ask(self, connection: Any, *command: str) -> Any:
        await connection.send_command(*command)
        return await connection.read_response(disable_decoding=True)

    def _told(self, exc: BaseException) -> SinkError:
        """What went wrong, what to do about it, and how soon it is worth another attempt."""
        said = said_by(exc).rstrip(".")
        remedy = _remedy(exc, said)
        wait = MENDED_SECONDS if remedy else None
        if isinstance(exc, InvalidResponse):
            said = "what answers there is no Redis: check host and port in its url"
        elif isinstance(exc, TimeoutError):
            # A server that speaks no TLS waits for the end of a line.
            said = f"no connection within {CONNECT_SECONDS:g} s"
            said += " with TLS: where it speaks none, name it redis://..." if self._tls else ""
        return SinkError(f"{self.place}: {said}{remedy and ': '}{remedy}", sink=self._sink, retry_after=wait)


def _remedy(exc: BaseException, said: str) -> str:
    """What a person must do before another attempt can succeed; empty: nothing."""
    if isinstance(exc, _AUTHENTICATION):
        return "set user and password in its url (redis://user:password@host:port/db), and reload"
    if isinstance(exc, NoPermissionError):
        return "allow its user these commands (ACL SETUSER)"
    if isinstance(exc, MovedError | AskError | ClusterDownError):
        return "this is a Redis Cluster: name a server that is none, or a proxy"
    if said.startswith("WRONGTYPE"):
        return "something else is kept under this key: choose another prefix, or another stream key"
    if said.lower().startswith("unknown command"):
        return "this keeps no keys, and may be a Sentinel: name the server itself, which must be 6.2 or later"
    return ""
