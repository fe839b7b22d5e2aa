"""The other end of `$NOTIFY_SOCKET`: what a service manager is told, in order and with the time of each datagram."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Self, TypedDict


class ManagerEnviron(TypedDict, total=False):
    """Has a process tell us how it is."""

    NOTIFY_SOCKET: str
    WATCHDOG_USEC: str


class ManagerSocket:
    """Listens in `folder` within `async with`; `environ` is for the process that is to tell it."""

    def __init__(self, folder: Path, *, watchdog_seconds: float | None = None) -> None:
        self.told: list[str] = []
        self.at: list[float] = []
        """When each of `told` came, on the monotonic clock."""
        self._path = folder / "notify"
        self.environ: ManagerEnviron = {"NOTIFY_SOCKET": str(self._path)}
        if watchdog_seconds is not None:
            self.environ["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1e6))

    async def __aenter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.setblocking(False)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._socket.close()

    async def _listen(self) -> None:
        while True:
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
            self.told.append(data.decode())
            self.at.append(time.monotonic())

    @property
    def statuses(self) -> list[str]:
        """Every line of status, in order."""
        return [
            line.removeprefix("STATUS=") for told in self.told for line in told.split("\n") if line[:7] == "STATUS="
        ]

    def heard(self, start: str) -> int:
        """How many datagrams begin so."""
        return sum(told.startswith(start) for told in self.told)
