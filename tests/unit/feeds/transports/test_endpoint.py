"""Where a feed may connect to, and through what."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import replace
from typing import Literal

import pytest
from yarl import URL

from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.transports.endpoint import endpoint_fault, proxy_for
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


@pytest.mark.parametrize("transport", ["sse", "poll"])
@pytest.mark.parametrize(
    ("url", "allow_plaintext", "fault"),
    [
        ("https://example.org/stream?symbols=aapl", False, None),
        ("http://127.0.0.1:8080/", False, None),
        ("http://localhost/", False, None),
        ("http://example.org/", True, None),
        ("http://example.org/", False, "http:// to example.org would send the key in the clear; use https://"),
        ("wss://example.org/", False, "an endpoint is http://... or https://..."),
        ("ws://127.0.0.1/", True, "an endpoint is http://... or https://..."),
        ("https:///query", False, "an endpoint is http://... or https://..."),
        ("https://example.org:port/", False, "not an address"),
    ],
)
def test_what_is_fetched_has_an_address_of_http(
    transport: Literal["sse", "poll"], url: str, allow_plaintext: bool, fault: str | None
) -> None:
    found = endpoint_fault(url, transport=transport, allow_plaintext=allow_plaintext)
    assert (found is None) if fault is None else (found or "").startswith(fault)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One without a proxy."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_the_environment_names_a_proxy_only_when_it_is_asked(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "http://proxy.example.org:3128")
    environment.setenv("http_proxy", "http://plain.example.org:3128")
    environment.setenv("no_proxy", "inside.example.org")
    for scheme, secure in (("ws", "wss"), ("http", "https")):
        feed = URL(f"{secure}://ws.example.org/")
        assert proxy_for(None, feed) is None
        assert proxy_for("http://mine:1", feed) == URL("http://mine:1")
        assert proxy_for("env", feed) == URL("http://proxy.example.org:3128")
        assert proxy_for("env", URL(f"{scheme}://ws.example.org/")) == URL("http://plain.example.org:3128")
        assert proxy_for("env", URL(f"{secure}://inside.example.org/")) is None
        assert proxy_for("http://mine:1", URL(f"{secure}://inside.example.org/")) is not None


def test_an_environment_without_a_proxy_names_none(environment: pytest.MonkeyPatch) -> None:
    assert proxy_for("env", URL("wss://ws.example.org/")) is None
    environment.setenv("HTTPS_PROXY", "")
    assert proxy_for("env", URL("wss://ws.example.org/")) is None


def test_capitals_and_an_address_without_a_scheme_will_do(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", "user:hunter22@proxy.example.org:3128")
    assert proxy_for("env", URL("wss://ws.example.org/")) == URL("http://user:hunter22@proxy.example.org:3128")


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("ws.example.org", True),
        ("example.org", True),
        (".example.org", True),
        ("other.org, example.org", True),
        ("*", True),
        ("ws.example.org:443", True),
        ("ws.example.org:8443", False),
        ("ample.org", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_no_proxy_names_hosts_what_is_below_them_and_perhaps_a_port(
    environment: pytest.MonkeyPatch, no_proxy: str, direct: bool
) -> None:
    environment.setenv("https_proxy", "http://proxy.example.org:3128")
    environment.setenv("no_proxy", no_proxy)
    assert (proxy_for("env", URL("wss://ws.example.org/")) is None) is direct


def test_no_proxy_may_name_an_address_of_version_6(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "http://proxy.example.org:3128")
    environment.setenv("no_proxy", "::1")
    assert proxy_for("env", URL("wss://[::1]:8443/")) is None
    assert proxy_for("env", URL("wss://[::2]:8443/")) is not None


@pytest.mark.parametrize(
    "address", ["socks5://user:hunter22@h:1", "http://", "http://u:hunter22@h:port", "ftp://h", "//"]
)
def test_what_is_no_address_of_a_proxy_is_said_without_showing_it(address: str) -> None:
    with pytest.raises(TransportError, match="the address of the proxy is not http://host:port") as error:
        proxy_for(address, URL("wss://ws.example.org/"))
    assert error.value.reason == "proxy"
    assert "hunter22" not in "".join(traceback.format_exception(error.value))


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
    with pytest.raises(
        TransportError, match=r"no connection to the proxy 127\.0\.0\.1:2: Connection refused"
    ) as refused:
        await client.connect()
    assert refused.value.reason == "proxy"
