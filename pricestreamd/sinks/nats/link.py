"""The connection of the sink `nats`: many messages under way at a time, each counted when JetStream acknowledges it.

The library's own reconnecting, and with it the buffer that would hold messages meanwhile, is off: a connection that
breaks is given up with all that was not acknowledged, and whoever calls makes the next attempt. Each message names a
subject of its own for the answer, below one inbox that is subscribed to once. An answer to an attempt that was given
up finds nobody and is left alone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.nats.login import MENDED_SECONDS, NatsLogin
from pricestreamd.sinks.said import SAID, said_by
from pricestreamd.sinks.settings import NatsSinkSettings
from pricestreamd.sinks.waiting import aside, ended

CONNECT_SECONDS = 3
PING_SECONDS = 20
LOOKUP_SECONDS = 2.0
# Messages and bytes without an answer, at most. More gains nothing (measured), and would fill the library's buffer.
MOST_UNANSWERED = 1000
MOST_BYTES = 1024 * 1024
# A server counts headers, too; ours are shorter.
HEADER_BYTES = 512

# https://github.com/nats-io/nats-server/blob/main/server/errors.json: the message is larger than the stream takes.
_TOO_LARGE = (10054, 10097)

FOREIGN = (NatsError, OSError, TimeoutError)


class Message:
    """One message, and what came of it: `acked`, or `error`, which is None as long as there is no answer."""

    __slots__ = ("acked", "body", "error", "id", "subject")

    def __init__(self, subject: str, message_id: str, body: bytes) -> None:
        self.subject = subject
        self.id = message_id
        self.body = body
        self.acked = False
        self.error: SinkError | None = None


class NatsLink:
    """One connection to one of the servers of `settings`, made when it is needed. `sink` is the name that errors carry.

    Raises:
        SinkError: the address or a file cannot be used.
    """

    def __init__(self, settings: NatsSinkSettings, sink: str) -> None:
        self._sink = sink
        self._login = NatsLogin(settings, sink)
        self.place = self._login.place
        self._client: Client | None = None
        self._inbox = ""
        self._tokens = itertools.count()
        self._unanswered: dict[str, Message] = {}
        self._bytes = 0
        self._moved = asyncio.Event()
        # Why nothing more will be answered; None: nothing is known to be wrong.
        self._broken: BaseException | None = None

    async def connect(self) -> Client:
        """The connection, made where there is none. Raises SinkError, and what the library raises."""
        client = self._client
        if client is not None and client.is_connected and self._broken is None:
            return client
        await self.let_go()
        papers = await aside(f"sink {self._sink} files", self._login.read) if self._login.needs_files else (None, None)
        client = self._client = Client()

        async def failed(error: Exception) -> None:
            self._fail(client, error)

        async def closed() -> None:
            self._fail(client, ConnectionResetError("the connection was closed"))

        try:
            await client.connect(
                self._login.servers,
                name="pricestreamd",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                pending_size=8 * MOST_BYTES,
                flush_timeout=CONNECT_SECONDS,
                error_cb=failed,
                closed_cb=closed,
                **self._login.options(client, *papers),
            )
        except FOREIGN as exc:
            if not self._login.lacks_certificate(client):
                raise
            text = f"{self.told(exc)}; it asks for a certificate of ours: set tls.cert_file and tls.key_file"
            raise SinkError(text, sink=self._sink, retry_after=MENDED_SECONDS) from exc
        self._login.demand_tls(client)
        # Of several servers one may have refused before another took us.
        self._broken = None
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._on_answer)
        return client

    async def look_up(self, subject: str) -> None:
        """Make sure that a stream takes some of `subject`, as far as the user may ask for it. Raises SinkError."""
        client = await self.connect()
        try:
            await client.jetstream(timeout=LOOKUP_SECONDS).find_stream_name_by_subject(subject)
        except NotFoundError as exc:
            raise self.no_stream(subject) from exc
        except (ServiceUnavailableError, NoRespondersError) as exc:
            text = f"{self.place}: JetStream is not enabled there: start the server with -js"
            raise SinkError(text, sink=self._sink, retry_after=MENDED_SECONDS) from exc
        except (APIError, TimeoutError):
            # It may not be asked; whether messages are taken will be seen.
            self._broken = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send `messages`, in their order, and wait until each has its answer, which is kept in it.

        An idle connection that turns out to be closed is made anew at once.

        Raises:
            SinkError: the connection broke; those without an answer may have been taken.
        """
        was_idle = self._client is not None
        try:
            await self._send(messages)
        except (SinkError, *FOREIGN):
            if not was_idle or self._client is None or self._client.is_connected:
                raise
            await self.let_go()
            await self._send([message for message in messages if not message.acked and message.error is None])

    async def _send(self, messages: Sequence[Message]) -> None:
        client = await self.connect()
        self._unanswered.clear()
        self._bytes = 0
        for message in messages:
            size = len(message.body) + HEADER_BYTES
            if size > client.max_payload:
                text = f"{message.id} is larger than the server takes ({client.max_payload} bytes)"
                message.error = SinkError(text, sink=self._sink, transient=False)
                continue
            await self._until(MOST_UNANSWERED - 1, MOST_BYTES)
            token = str(next(self._tokens))
            self._unanswered[token] = message
            self._bytes += size
            await client.publish(
                message.subject, message.body, reply=f"{self._inbox}.{token}", headers={Header.MSG_ID: message.id}
            )
        await self._until(0, MOST_BYTES)

    async def let_go(self) -> None:
        """Give the connection up at once: what was not answered is not waited for, whatever the server does."""
        client, self._client = self._client, None
        if client is None:
            return
        # The library has no other way to end a connection than to wait until everything is sent.
        if hasattr(client, "_pending"):
            client._pending, client._pending_data_size = [], 0  # noqa: SLF001 - as said
        writer = getattr(getattr(client, "_transport", None), "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        closing = asyncio.create_task(client.close(), name=f"sink {self._sink} nats close")
        await asyncio.wait({closing}, timeout=0.5)
        await ended(closing)

    def no_stream(self, subject: str) -> SinkError:
        """Nobody keeps what is published there, and how to have it kept."""
        prefix = subject.partition(".")[0]
        remedy = f"nats stream add {prefix.upper()} --subjects '{prefix}.>' --dupe-window 2h --defaults"
        return SinkError(f"{self.place}: no stream takes {subject}: {remedy}", sink=self._sink)

    def told(self, exc: BaseException) -> SinkError:
        """What went wrong, what to do about it, and how soon it is worth another attempt."""
        if isinstance(exc, SinkError):
            return exc
        cause = self._broken if isinstance(exc, NatsError) and self._broken is not None else exc
        said = said_by(cause)
        if isinstance(cause, TimeoutError):
            said = "no answer"
        text, lower = f"{self.place}: {said}", said.lower()
        if "authorization" in lower or "authentication" in lower:
            text += f": {self._login.remedy}, and reload"
            return SinkError(text, sink=self._sink, retry_after=MENDED_SECONDS)
        if "permissions violation" in lower:
            text += ": let its user publish there, and subscribe to _INBOX.>"
            return SinkError(text, sink=self._sink, retry_after=MENDED_SECONDS)
        return SinkError(text, sink=self._sink)

    async def _until(self, messages: int, size: int) -> None:
        """Wait until at most so many messages, and fewer bytes than that, are without an answer."""
        while len(self._unanswered) > messages or self._bytes >= size:
            if self._broken is not None:
                raise self.told(self._broken) from self._broken
            self._moved.clear()
            await self._moved.wait()

    async def _on_answer(self, answer: Msg) -> None:
        message = self._unanswered.pop(answer.subject.rpartition(".")[2], None)
        if message is None:
            return
        self._bytes -= len(message.body) + HEADER_BYTES
        self._moved.set()
        if answer.headers and answer.headers.get(Header.STATUS) == "503":
            message.error = self.no_stream(message.subject)
            return
        try:
            said = json.loads(answer.data)
            error = said.get("error")
            message.acked = not error and isinstance(said["seq"], int)
            if error:
                message.error = SinkError(
                    f"{self.place}: {message.subject}: {str(error.get('description'))[:SAID]}",
                    sink=self._sink,
                    transient=error.get("err_code") not in _TOO_LARGE,
                )
        except (ValueError, KeyError, AttributeError, RecursionError):
            message.error = SinkError(f"{self.place}: an answer that is none of JetStream", sink=self._sink)

    def _fail(self, client: Client, error: Exception) -> None:
        if client is self._client:
            if self._broken is None or client.is_connecting:
                self._broken = error
            self._moved.set()
