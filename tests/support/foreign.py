"""A client that nobody here wrote, at work in a process of its own, where its threads and warnings are its own too.

The script in that process says what it heard as lines of JSON, and does what it is told by lines of words.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).parents[2]


class ForeignClient:
    """Runs `python -m tests.support.<script> <arguments>`. `heard` grows. An async context manager."""

    def __init__(self, script: str, *arguments: str, **environ: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self._command = [sys.executable, "-m", f"tests.support.{script}", *arguments]
        # Nobody else's proxy comes between.
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._environ = {**clean, **environ}

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, env=self._environ, cwd=_ROOT
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    def tell(self, *words: str) -> None:
        """Have the script do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words).encode() + b"\n")

    async def left(self) -> int:
        """Its exit code, when it has ended by itself."""
        return await asyncio.wait_for(self._process.wait(), 10)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.heard.append(json.loads(line))
