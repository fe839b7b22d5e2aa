"""The daemon as its users run it: a process, a configuration file, signals, and what it says."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.support.waiting import eventually

READY = re.compile(r"page and API on (\S+?)/?(?:\s|$|\")")


class DaemonProcess:
    """`pricestreamd run` on a configuration text; `async with` waits until it is ready, and ends it at the end."""

    def __init__(self, folder: Path, config: str, *, command: str = "run", ready: bool = True, **environ: str) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text(config)
        self.command = command
        self.log: list[str] = []
        self.out: list[str] = []
        self._wait_ready = ready
        self._environ = {"STATE_DIRECTORY": str(folder), **environ}

    async def __aenter__(self) -> Self:
        arguments = ["--config", str(self.config)] if self.command == "run" else ["--port", "0"]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pricestreamd",
            self.command,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self._environ},
        )
        self._readers = [
            asyncio.create_task(self._read(self.process.stderr, self.log)),
            asyncio.create_task(self._read(self.process.stdout, self.out)),
        ]
        if self._wait_ready:
            await eventually(lambda: self.url or self.process.returncode is not None, 20, "the daemon is not ready")
            assert self.process.returncode is None, "\n".join(self.log)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await asyncio.gather(*self._readers)

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            lines.append(line.decode())

    @property
    def url(self) -> str | None:
        """Where it answers, once it has said so."""
        for line in self.log:
            if found := READY.search(line):
                return found[1]
        return None

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its log, each line parsed."""
        return [json.loads(line) for line in self.log]

    async def said(self, text: str, timeout: float = 10) -> None:
        """Return when a line of its log holds `text`."""
        await eventually(lambda: any(text in line for line in self.log), timeout, f"never said: {text}")

    async def get(self, path: str, status: int = 200) -> Any:
        """The JSON (or text) answer to `GET path`."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as response:
            assert response.status == status, await response.text()
            return await (response.json() if "json" in response.content_type else response.text())

    async def until(self, path: str, condition: Any, timeout: float = 10) -> Any:
        """The answer to `GET path`, as soon as `condition(answer)` is true."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as response:
                answer = await (response.json() if "json" in response.content_type else response.text())
            if condition(answer):
                return answer
            assert loop.time() < deadline, f"{path} stayed at {answer}"
            await asyncio.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.send(number)
        return await self.ended(timeout)

    async def ended(self, timeout: float = 20) -> int:
        """Wait for the end; the exit code."""
        code = await asyncio.wait_for(self.process.wait(), timeout)
        await asyncio.gather(*self._readers)
        return code
