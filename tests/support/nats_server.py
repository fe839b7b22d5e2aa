"""A real NATS server with JetStream on a free port of this machine, from a wheel or from the machine's own packages.

with NatsServer() as server:
    server.url  # nats://127.0.0.1:...
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from tests.support.server_process import ServerProcess

PASSWORD = "nats-canary:/?#[]@%1"


def program() -> Path:
    """The server's program; without one the test is skipped."""
    beside = Path(sys.executable).parent / "nats-server"
    if beside.exists():
        return beside
    if on_path := shutil.which("nats-server"):
        return Path(on_path)
    pytest.skip("no NATS server runs here: neither a wheel nor a package has one")


Answer = TypeVar("Answer")


class Kept(NamedTuple):
    """One message of a stream; `id` is its Nats-Msg-Id."""

    subject: str
    id: str
    body: bytes


class NatsServer(ServerProcess):
    """JetStream keeps its messages in its folder over a stop.

    `config` are lines of its configuration. With a `user` it demands that and `PASSWORD`. `client`: what the library
    must be told besides to get in.
    """

    name = "nats"
    asking = signal.SIGINT

    def __init__(
        self,
        config: str = "",
        user: str | None = None,
        *,
        jetstream: bool = True,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.jetstream = jetstream
        self.client = dict(client or {})
        if user is not None:
            self.client |= {"user": user, "password": PASSWORD}
            config += f"\nauthorization {{user: {json.dumps(user)}, password: {json.dumps(PASSWORD)}}}"
        self.config = self.folder / "nats.conf"
        self.config.write_text(f"{config}\n")

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        words = ["-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder), "-c", str(self.config)]
        return [str(program()), *words, *(["-js"] if self.jetstream else [])]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def add_stream(self, prefix: str, **config: Any) -> None:
        """Have a stream, named as `prefix`, keep all that is published below it. `config`: what else nats-py knows."""

        async def add(client: Client) -> None:
            await client.jetstream().add_stream(name=prefix, subjects=[f"{prefix}.>"], **config)

        self._ask(add)

    def change_stream(self, prefix: str, **config: Any) -> None:
        """Have the stream `prefix` as `config` says from now on."""

        async def change(client: Client) -> None:
            await client.jetstream().update_stream(name=prefix, subjects=[f"{prefix}.>"], **config)

        self._ask(change)

    @asynccontextmanager
    async def answering(self, subject: str, answers: Iterable[bytes]) -> AsyncIterator[None]:
        """Have somebody answer to what comes on `subject`, with each of `answers` in turn."""
        left = iter(answers)

        async def answer(message: Msg) -> None:
            await message.respond(next(left))

        client = Client()
        await client.connect(self.url, allow_reconnect=False)
        try:
            await client.subscribe(subject, cb=answer)
            await client.flush()
            yield
        finally:
            await client.close()

    def messages(self, prefix: str) -> list[Kept]:
        """All that the stream `prefix` has, in its order."""

        async def read(client: Client) -> list[Kept]:
            context = client.jetstream()
            count = (await context.stream_info(prefix)).state.messages
            found: list[Kept] = []
            subscription = await context.pull_subscribe(
                f"{prefix}.>", stream=prefix, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
            )
            while len(found) < count:
                found += [
                    Kept(message.subject, (message.headers or {}).get("Nats-Msg-Id", ""), message.data)
                    for message in await subscription.fetch(min(count - len(found), 500), timeout=10)
                ]
            return found

        return self._ask(read)

    def _ask(self, question: Callable[[Client], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask in a loop of its own, in another thread: the caller's may be running."""

        async def ask() -> Answer:
            client = Client()
            await client.connect(self.url, allow_reconnect=False, **self.client)
            try:
                return await question(client)
            finally:
                await client.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, ask()).result(30)
