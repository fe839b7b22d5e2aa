"""The receiver of `tests.support.receiver` as a process of its own, with a journal that outlasts it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Receiver:
    """Within `async with` it takes, or refuses, what comes to `url`. `refuse` is the share of what is refused."""

    def __init__(self, journal: Path, *, refuse: float = 0.0, seed: int = 1) -> None:
        self._journal = journal
        self._refuse = refuse
        self._seed = seed
        self._port = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.receiver", "--port", str(self._port), "--hang", "0.1"),
            *("--refuse", str(self._refuse), "--journal", str(self._journal), "--seed", str(self._seed)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._port = int(await self._process.stdout.readline())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def restart(self, *, refuse: float) -> None:
        """Kill it, and let it begin again at the same address."""
        await self.__aexit__()
        self._refuse = refuse
        await self.__aenter__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hook"

    def accepted(self) -> list[tuple[str, dict[str, Any]]]:
        """(id, body) of whatever it has taken, in order. The last line may be half of one, of a receiver just killed."""
        taken = []
        for line in self._journal.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                entry = json.loads(line)
                taken.append((entry["id"], entry["body"]))
        return taken
