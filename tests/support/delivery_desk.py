"""A daemon as users run it, whose alerts go to a receiver that does as it is told; and the commands beside it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.command import Ran, run
from tests.support.daemon import DaemonProcess
from tests.support.provider import ScriptedProvider
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually

_WEBHOOK = (
    "  {name}: {{{{type: webhook, url: '{{url}}', allow_private: true, events: [price.alert], retry: {retry}}}}}\n"
)
# Given up after two attempts; and one that waits for long after its second.
HOOK = _WEBHOOK.format(name="hook", retry="{{delays: [50ms]}}")
SLOW = _WEBHOOK.format(name="slow", retry="{{delays: [50ms, 1h], jitter: 0}}")


def answering(status: int) -> Any:
    """An answer of a receiver's."""

    async def answer(_request: web.Request, _received: Received) -> web.StreamResponse:
        return web.Response(status=status)

    return answer


@dataclass
class DeliveryDesk:
    """`start` runs the daemon with these sinks; the alert `high` fires above 200."""

    folder: Path
    provider: ScriptedProvider
    receiver: Receiver
    daemon: DaemonProcess = field(init=False)

    @contextlib.asynccontextmanager
    async def start(self, sinks: str = HOOK) -> AsyncIterator[DeliveryDesk]:
        """The daemon, until the end of the block; its state stays for the next one."""
        text = f"""
feeds:
  us: {{provider: twelvedata, api_key: some-key, endpoint: "{self.provider.url}", symbols: [AAPL], market_hours: always}}
stream: {{suspect: null}}
alerts:
  - {{name: high, symbol: AAPL, above: 200}}
sinks:
{sinks.format(url=self.receiver.url)}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
shutdown_timeout: 1s
"""
        known = len(self.provider.conversations)
        folder = str(self.folder)
        async with DaemonProcess(self.folder, text, RUNTIME_DIRECTORY=folder, PYTHONPATH=folder) as self.daemon:
            provider = self.provider
            await eventually(lambda: len(provider.conversations) > known and "AAPL" in provider.last.subscribed, 10)
            yield self

    async def fire(self, count: int = 1) -> None:
        """Let the alert fire."""
        before = (await self.daemon.get("/api/v1/stats"))["alerts_triggered"]
        for _ in range(count):
            await self.provider.last.price("AAPL", 199.0)
            await self.provider.last.price("AAPL", 201.0)
        await self.daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == before + count)

    async def command(self, *arguments: str) -> Ran:
        """`pricestreamd` with these arguments, asked of this daemon."""
        folder = str(self.folder)
        known = {"PRICESTREAM_URL": str(self.daemon.url), "STATE_DIRECTORY": folder, "RUNTIME_DIRECTORY": folder}
        return await run(self.folder, *arguments, environ=known)

    async def tell(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON answer to a change that has the token."""
        headers = {"Authorization": f"Bearer {(self.folder / 'http-token').read_text().strip()}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.request(method, f"{self.daemon.url}{path}", json=body) as response:
                answer = await response.json()
                assert response.status == status, answer
                return answer

    async def sink(self, name: str) -> dict[str, Any]:
        """How one sink is."""
        reports = (await self.daemon.get("/api/v1/sinks"))["sinks"]
        found: dict[str, Any] = next(one for one in reports if one["sink"] == name)
        return found

    async def owed(self, condition: Any, query: str = "") -> list[dict[str, Any]]:
        """What is owed, as soon as `condition` is true of it."""
        answer = await self.daemon.until(f"/api/v1/outbox{query}", lambda answer: condition(answer["deliveries"]))
        found: list[dict[str, Any]] = answer["deliveries"]
        return found

    async def dead(self, count: int) -> list[dict[str, Any]]:
        """What was given up, as soon as it is so many."""
        return await self.owed(lambda owed: len(owed) == count, "?dead=true")


@contextlib.asynccontextmanager
async def delivery_desk(folder: Path) -> AsyncIterator[DeliveryDesk]:
    """With a receiver that answers 500 at first."""
    async with ScriptedProvider() as provider, Receiver() as receiver:
        receiver.answer = answering(500)
        yield DeliveryDesk(folder, provider, receiver)
