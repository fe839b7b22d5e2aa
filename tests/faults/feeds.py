"""What the fault tests of a feed share: a client in a hurry, and a certificate authority of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trustme

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings, HeartbeatSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.events import Run

FAST = FeedSettings(
    provider="twelvedata",
    symbols=("AAPL",),
    reconnect=ReconnectSettings(initial_delay=0.05, max_delay=0.2, jitter=0),
    heartbeat=HeartbeatSettings(interval=0.3, timeout=0.2),
    stale_after=StaleSettings(connection=None),
    connect_timeout=5.0,
    subscribe_timeout=5.0,
)


def hasty(url: str, **more: Any) -> WebSocketClient:
    """A feed `us` at `url`, whose delays are a twentieth of the usual ones."""
    return WebSocketClient.from_settings("us", replace(FAST, endpoint=url, **more), Run("test"))


@asynccontextmanager
async def running(client: WebSocketClient) -> AsyncIterator[WebSocketClient]:
    """The supervised life of `client`."""
    task = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        await client.disconnect()
        await asyncio.wait({task})
    assert task.exception() is None


class Authority:
    """A certificate authority, its file, and a server context for a certificate of it."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def server(self, *names: str, **more: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, **more).configure_cert(context)
        return context
