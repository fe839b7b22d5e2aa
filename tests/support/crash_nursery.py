"""Daemons by the hundred: a process that has imported everything once, and forks a daemon whenever it is asked to.

Half a second of a daemon's start is Python reading modules, which touches no state. A child of the nursery begins right
after that; everything else is as if it had been started by `pricestreamd run`, and it is killed as a process of its own.

`python -m tests.support.crash_nursery`: each line of JSON asks for one daemon (`folder`, and `environ` beside the
nursery's own); the answers are its pid, and, when it has ended, how: minus the signal, or its exit code.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Self

from pricestreamd.cli import run as _everything_that_a_daemon_imports  # noqa: F401 - before the first fork
from pricestreamd.cli.main import main
from pricestreamd.daemon import run as _and_the_daemon  # noqa: F401 - as above
from pricestreamd.sinks import webhook as _and_its_sink  # noqa: F401 - as above

ROOT = Path(__file__).parents[2]


class Newborn:
    """A daemon that was asked for; `returncode` as that of any process, None while it runs."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        # Its pid is its own until the nursery has been told how it ended, and that it tells before anything else.
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(await self._nursery.answer())
        return self.returncode


class Nursery:
    """One of them; it has one daemon at a time. `async with` starts and ends it."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.crash_nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self.answer()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def spawn(self, folder: Path, environ: dict[str, str]) -> Newborn:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "environ": environ}).encode() + b"\n")
        return Newborn(self, int(await self.answer()))

    async def answer(self) -> bytes:
        """Its next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the nursery has ended"
        return line


def _grow_up(folder: str, environ: dict[str, str]) -> int:
    """The rest of the life of a child."""
    os.environ.update(environ)
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(f"{folder}/daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, number in ((nothing, 0), (nothing, 1), (log, 2)):
        os.dup2(descriptor, number)
    return main(["run", "--config", f"{folder}/config.yaml"])


def _serve() -> None:
    print("open", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_grow_up(**json.loads(line)))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
