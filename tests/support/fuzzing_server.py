"""The Autobahn cases as a server in a process of its own, for a WebSocket client to be examined by.

    async with FuzzingServer("1.*", "6.*") as server:
        await server.cases()          # how many there are; number 1 is the first
        server.case(1, "me")          # where the client goes for case 1
        await server.verdicts("me")   # case id -> verdict, when all cases were run

In a process of its own, because the cases are old Python that patches `binascii` and puts itself first on the path.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import NamedTuple, Self

import aiohttp

_ROOT = Path(__file__).parents[2]


class Verdict(NamedTuple):
    """Autobahn's words for what was said and for how it was ended."""

    behavior: str
    behavior_close: str

    @property
    def failed(self) -> bool:
        return {self.behavior, self.behavior_close} - {"OK", "NON-STRICT", "INFORMATIONAL"} != set()


class FuzzingServer:
    """Serves the cases that `patterns` name, on a free loopback port."""

    def __init__(self, *patterns: str) -> None:
        self._patterns = patterns
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.fuzzing_server",
            *self._patterns,
            cwd=_ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        port = await self._line()
        self._url = f"ws://127.0.0.1:{int(port)}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def cases(self) -> int:
        """How many cases there are."""
        return int(await self._ask("/getCaseCount"))

    def case(self, number: int, agent: str) -> str:
        """Where a client goes to be examined."""
        return f"{self._url}/runCase?case={number}&agent={agent}"

    async def verdicts(self, agent: str) -> dict[str, Verdict]:
        """The run is over: the verdict on each case, by its id."""
        await self._ask(f"/updateReports?agent={agent}")
        return {case: Verdict(*words) for case, words in json.loads(await self._line()).items()}

    async def _ask(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url + path) as ws:
            answer = await ws.receive()
            return str(answer.data)

    async def _line(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the fuzzing server has ended"
        return line


async def _serve(patterns: list[str]) -> None:
    from kosoku import FailureError, run_fuzzingserver

    async with run_fuzzingserver(patterns, None, host="127.0.0.1", port=0) as server:
        print(server.port, flush=True)
        try:
            results = await server.get_result()
        except FailureError as failure:
            results = failure.results
    print(json.dumps({each.case_id: (each.behavior.value, each.behavior_close.value) for each in results}), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
