"""A receiver of webhooks: an HTTP server that answers as it is told, or badly now and then by a seed.

    python -m tests.support.receiver --port 0 --refuse 0.3 --journal FILE [--seed 1] [--hang 0.5]

prints its port, one line, when it listens. Every request that it accepts is on the disk, one JSON object a line
(`id`, `timestamp`, `signature`, `body`), before it is answered. Of the requests that it does not accept, some are
answered with 500, some only after `--hang` seconds (503), some by a reset; and some are accepted, and their answer is
lost in a reset, so that the sender must send them again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

Received = dict[str, Any]
Answer = Callable[[web.Request, Received], Awaitable[web.StreamResponse]]


async def accept(_request: web.Request, _received: Received) -> web.StreamResponse:
    """200."""
    return web.Response(text="thanks")


class Receiver:
    """Listens on 127.0.0.1:`port` (0: a free one) within `async with`. `answer` may be exchanged at any time.

    `requests` are all that came, `accepted` those that were answered with 2xx. `refuse` is the share of requests that
    are refused at random before they get to `answer`.
    """

    def __init__(
        self, *, port: int = 0, refuse: float = 0.0, journal: Path | None = None, seed: int = 1, hang: float = 0.5
    ) -> None:
        self.port = port
        self.answer: Answer = accept
        self.requests: list[Received] = []
        self.accepted: list[Received] = []
        self._refuse = refuse
        self._dice = random.Random(seed)
        self._hang = hang
        self._journal = None if journal is None else os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._receive)
        return app

    @property
    def url(self) -> str:
        """Where it listens, with a path that no error may show."""
        return f"http://127.0.0.1:{self.port}/hooks/path-secret?key=query-secret"

    @property
    def ids(self) -> list[str]:
        """The `webhook-id` of each accepted request."""
        return [received["id"] for received in self.accepted]

    async def __aenter__(self) -> Receiver:
        await self._runner.setup()
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        await web.SockSite(self._runner, listening).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        if self._journal is not None:
            os.close(self._journal)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received: Received = {
            "id": request.headers.get("webhook-id", ""),
            "timestamp": request.headers.get("webhook-timestamp", ""),
            "signature": request.headers.get("webhook-signature", ""),
            "headers": dict(request.headers),
            "path": request.path_qs,
            "raw": body,
        }
        self.requests.append(received)
        if self._dice.random() < self._refuse:
            refused = await self._refused(request, received)
            if refused is not None:
                return refused
        answer = await self.answer(request, received)
        if answer.status // 100 == 2:
            self._accept(received)
        return answer

    async def _refused(self, request: web.Request, received: Received) -> web.StreamResponse | None:
        how = self._dice.choice(("500", "hang", "reset", "lost"))
        if how == "500":
            return web.Response(status=500)
        if how == "hang":
            await asyncio.sleep(self._hang)
            return web.Response(status=503, headers={"Retry-After": "1"})
        if how == "lost":
            self._accept(received)
        return reset(request)

    def _accept(self, received: Received) -> None:
        self.accepted.append(received)
        if self._journal is None:
            return
        kept = {key: received[key] for key in ("id", "timestamp", "signature")}
        line = json.dumps({**kept, "body": json.loads(received["raw"])}) + "\n"
        os.write(self._journal, line.encode())
        os.fdatasync(self._journal)


def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection off by an RST, instead of an answer."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)


async def _main(arguments: argparse.Namespace) -> None:
    receiver = Receiver(
        port=arguments.port,
        refuse=arguments.refuse,
        journal=arguments.journal,
        seed=arguments.seed,
        hang=arguments.hang,
    )
    async with receiver:
        print(receiver.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--refuse", type=float, default=0.0)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hang", type=float, default=0.5)
    asyncio.run(_main(parser.parse_args()))
