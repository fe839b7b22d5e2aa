"""Where a feed may connect to, and through what."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from yarl import URL

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.endpoint import endpoint_fault, proxy_for
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import TransportError
from pricestreamd.model.events import Run
from pricestreamd.model.secret import Secret
from tests.support.provider import ScriptedProvider


@pytest.mark.parametrize(
    ("url", "allow_plaintext", "good"),
    [
        ("wss://example.org/", False, True),
        ("ws://example.org/", False, False),
        ("ws://example.org/", True, True),
        ("ws://127.0.0.1:8080/", False, True),
        ("ws://127.8.9.1/", False, True),
        ("ws://[::1]/", False, True),
        ("ws://localhost/", False, True),
        ("ws://localhost.example.org/", False, False),
        ("ws://10.0.0.1/", False, False),
        ("http://127.0.0.1/", True, False),
        ("/v1/quotes", False, False),
        ("", False, False),
    ],
)
def test_plaintext_stays_on_this_machine(url: str, allow_plaintext: bool, good: bool) -> None:
    assert (endpoint_fault(url, allow_plaintext=allow_plaintext) is None) is good


def test_the_environment_names_a_proxy_only_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("http_proxy", "http://plain.example.org:3128")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    feed = URL("wss://ws.example.org/")
    assert proxy_for(None, feed) is None
    assert proxy_for("http://mine:1", feed) == "http://mine:1"
    assert proxy_for("env", feed) == "http://proxy.example.org:3128"
    assert proxy_for("env", URL("ws://ws.example.org/")) == "http://plain.example.org:3128"
    assert proxy_for("env", URL("wss://inside.example.org/")) is None


def through(proxy: str, endpoint: str) -> WebSocketClient:
    settings = FeedSettings(provider="twelvedata", endpoint=endpoint, allow_plaintext=True, proxy=Secret(proxy))
    return WebSocketClient.from_settings("us", replace(settings, symbols=("AAPL",)), Run("test"))


async def test_a_feed_goes_through_its_proxy() -> None:
    async with ScriptedProvider() as proxy:
        client = through(f"http://127.0.0.1:{proxy.port}", "ws://feed.example.org/quotes")
        await client.connect()
        await client.subscribe(["AAPL"])
        assert proxy.last.headers["Host"] == "feed.example.org"
        await client.disconnect()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n", b""])
async def test_a_proxy_that_refuses_is_said_to_be_the_proxy(answer: bytes) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = through(f"http://user:hunter22@127.0.0.1:{port}", "wss://feed.example.org/quotes")
        with pytest.raises(TransportError) as refused:
            await client.connect()
    assert refused.value.reason in ("proxy", "eof")
    assert "hunter22" not in str(refused.value)


async def test_a_proxy_that_is_not_there_is_said_to_be_the_proxy() -> None:
    client = through("http://127.0.0.1:2", "wss://feed.example.org/quotes")
    with pytest.raises(TransportError, match="proxy: Connection refused") as refused:
        await client.connect()
    assert refused.value.reason == "proxy"
