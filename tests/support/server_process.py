"""A server of somebody else's as a process of a test: on a free port, in a folder that goes with it.

It can be stopped, killed, frozen, and started again where it was.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port

_START_SECONDS = 20.0


class ServerProcess:
    """What Redis, PostgreSQL and NATS have in common. A subclass says how it is started and whether it answers."""

    name = "server"
    asking = signal.SIGTERM
    """What asks it to end in order."""
    ending = signal.SIGKILL
    """What ends it at once."""

    def __init__(self) -> None:
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix=f"pricestream-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What runs it at `port`."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it can be used."""
        raise NotImplementedError

    def runs_as(self) -> dict[str, Any]:
        """Keywords for `subprocess`: as whom it runs."""
        return {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it, on the port it had, or on a free one."""
        for _ in range(5):
            self.port = self.port or free_port()
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    self.command(), cwd=self.folder, stdout=log, stderr=log, **self.runs_as()
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
            if self.answers():
                return True
            time.sleep(0.01)
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Shut it down; connections are ended."""
        assert self._process is not None
        self._process.send_signal(self.asking)
        self._process.wait(20)
        self._process = None

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        process = self._process
        if process is None:
            return
        self.thaw()
        self._process = None
        process.send_signal(self.ending)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop all its processes: it accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        # The parent first, so that it makes no more children meanwhile.
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        for child in children.read_text().split() if children.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)
