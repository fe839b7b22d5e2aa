"""A real NATS server with JetStream on a free port of this machine, from a wheel or from the machine's own packages.

with NatsServer() as server:
    server.url  # nats://127.0.0.1:...
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from tests.support.ports import free_port

PASSWORD = "nats-canary:/?#[]@%1"
_START_SECONDS = 20.0


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


class NatsServer:
    """One server with a folder of its own, which goes with it; JetStream keeps its messages there over a stop.

    `config` are lines of its configuration. With a `user` it demands that and `PASSWORD`.
    """

    def __init__(self, config: str = "", user: str | None = None, *, jetstream: bool = True) -> None:
        self.user = user
        self.jetstream = jetstream
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pricestream-nats-"))
        self.config = self.folder / "nats.conf"
        demand = f"authorization {{user: {json.dumps(user)}, password: {json.dumps(PASSWORD)}}}" if user else ""
        self.config.write_text(f"{config}\n{demand}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on the port it had, or on a free one."""
        for _ in range(5):
            self.port = self.port or free_port()
            words = ["-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder), "-c", str(self.config)]
            words += ["-js"] if self.jetstream else []
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen([program(), *words], stdout=log, stderr=log)
            if self._ready():
                return
            self.kill()
            self.port = 0  # somebody else was quicker
        raise RuntimeError((self.folder / "log").read_text())

    def _ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    if connection.recv(4) == b"INFO":
                        return True
            except OSError:
                time.sleep(0.01)
        return False

    def stop(self) -> None:
        """Shut it down; connections are ended."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self.thaw()
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """Stop it: it accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

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
            await client.connect(self.url, allow_reconnect=False, user=self.user, password=self.user and PASSWORD)
            try:
                return await question(client)
            finally:
                await client.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, ask()).result(30)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
