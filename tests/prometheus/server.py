"""A real Prometheus with the shipped scrape configuration and rules, in a hurry: a minute of them is a second here."""

import asyncio
import re
import socket
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.prometheus.shipped import PROMETHEUS, RULES, SCRAPE
from tests.support.waiting import eventually

SCRAPE_SECONDS = "500ms"


def hurried(rules: str) -> str:
    """`rules` with every minute as a second: durations (`for: 3m`, `[15m]`), and the ages that are compared with."""
    rules = re.sub(r"\b(\d+)m\b", r"\1s", rules)
    for seconds in (120, 300, 3600):
        assert f" > {seconds}" in rules
        rules = re.sub(rf" > {seconds}\b", f" > {seconds // 60}", rules)
    return rules


def configuration(target: str, token: Path) -> str:
    """The shipped example for the daemon at `target`, with the lines that it proposes for a token."""
    text = SCRAPE.read_text(encoding="utf-8")
    for shipped, here in (
        ('targets: ["127.0.0.1:9777"]', f'targets: ["{target}"]'),
        ("_interval: 15s", f"_interval: {SCRAPE_SECONDS}"),
        ("scrape_timeout: 5s", f"scrape_timeout: {SCRAPE_SECONDS}"),
        (
            "    #authorization:\n    #  type: Bearer\n    #  credentials_file: /etc/prometheus/price-stream.token\n",
            f"    authorization:\n      type: Bearer\n      credentials_file: {token}\n",
        ),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    return text


class Prometheus:
    """Runs within `async with`, and scrapes the daemon at `target` (host:port) with `token`."""

    def __init__(self, folder: Path, target: str, token: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "token").write_text(token)
        (folder / "prometheus.yml").write_text(configuration(target, folder / "token"))
        (folder / "rules.yml").write_text(hurried(RULES.read_text(encoding="utf-8")))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(PROMETHEUS),
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address={self.address}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._session = aiohttp.ClientSession(f"http://{self.address}")
        try:
            await self._until_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _until_ready(self) -> None:
        ready = asyncio.create_task(self._answers())
        await eventually(lambda: ready.done() or self._process.returncode is not None, 20.0)
        ready.cancel()
        assert self._process.returncode is None, (self.folder / "log").read_text()

    async def _answers(self) -> None:
        while True:
            try:
                async with self._session.get("/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)

    async def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        async with self._session.get(f"/api/v1/{path}", params=query) as response:
            answer = await response.json()
        assert answer["status"] == "success", (query, answer)
        return answer["data"]

    async def value(self, query: str) -> list[Any]:
        """The result of an instant query."""
        found: list[Any] = (await self.ask("query", query=query))["result"]
        return found

    async def firing(self) -> set[tuple[str, str, str]]:
        """(rule, severity, feed) of every alert that fires now."""
        alerts = (await self.ask("alerts"))["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"]["severity"], one["labels"].get("feed", ""))
            for one in alerts
            if one["state"] == "firing"
        }
