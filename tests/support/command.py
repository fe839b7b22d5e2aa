"""A command of the program as a process of its own, beside servers that live in the test."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All that it said."""
        return self.out + self.err


class Command:
    """`pricestreamd` with `arguments`, running in `folder`; ended by force at the end, if it must be."""

    def __init__(self, folder: Path, *arguments: str | Path, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._arguments = [str(argument) for argument in arguments]
        self._environ = {"STATE_DIRECTORY": str(folder / "state"), "HOME": str(folder), **(environ or {})}

    async def __aenter__(self) -> Self:
        inherited = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_PROXY"))}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pricestreamd",
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._folder,
            env={**inherited, **self._environ},
        )
        self._ending = asyncio.create_task(self.process.communicate())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self._ending

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self, timeout: float = 30) -> Ran:
        """Wait for the end."""
        out, err = await asyncio.wait_for(asyncio.shield(self._ending), timeout)
        assert self.process.returncode is not None
        return Ran(self.process.returncode, out.decode(), err.decode())


async def run(
    folder: Path, *arguments: str | Path, timeout: float = 30, environ: Mapping[str, str] | None = None
) -> Ran:
    """The command from its start to its end."""
    async with Command(folder, *arguments, environ=environ) as command:
        return await command.ended(timeout)
