"""What docs/providers.md says is so: its table, its configurations, and the adapter that it shows."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd import WebSocketClient
from pricestreamd.config.load import load
from pricestreamd.model.secret import Secret
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Adapter, Message, Rejected, Terms
from pricestreamd.providers.catalogue import BUILT_IN, ENTRY_POINTS, create, profile
from pricestreamd.providers.profile import Profile
from tests.support.distribution import install
from tests.support.waiting import eventually

TEXT = (Path(__file__).parents[2] / "docs/providers.md").read_text()
SNIPPETS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
(CODE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(ENTRY_POINT,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
NAME, VALUE = next(iter(tomllib.loads(ENTRY_POINT)["project"]["entry-points"][ENTRY_POINTS].items()))


def row(about: Profile) -> str:
    """The line of the table that says what a profile says."""
    heartbeats = {
        (False, False): "none",
        (False, True): f"pings, {about.heartbeat_silence:g} s" if about.heartbeat_silence else "",
        (True, False): f"every {about.heartbeat_interval or 0:g} s, {about.heartbeat_silence or 0:g} s",
    }
    cells = (
        f"`{about.name}`",
        {"websocket": "WebSocket", "sse": "SSE", "poll": "polls"}[about.transport],
        about.auth,
        about.max_symbols_per_connection or "no limit",
        about.max_connections or "no limit",
        "none" if about.subscribes == "connect" else f"{about.control_messages} in {about.control_window:g} s",
        heartbeats[about.heartbeat_interval is not None, about.pings],
        f"{about.lifetime / 3600:g} h" if about.lifetime else "no limit",
        ", ".join(about.channels),
        ", ".join(about.channels.values()),
        about.time_unit if about.time_unit != "none" else "a date, or local",
    )
    return f"| {' | '.join(map(str, cells))} |"


def test_the_table_says_what_the_profiles_say() -> None:
    (table,) = re.findall(r"<!-- table.*?-->\n(.*?)<!-- /table -->", TEXT, re.DOTALL)
    # `generic` is what its description makes of it.
    assert table.splitlines()[2:] == [row(profile(name)) for name in BUILT_IN if name != "generic"]


def test_every_provider_has_a_configuration_and_all_are_good(tmp_path: Path) -> None:
    shown = []
    for snippet in SNIPPETS:
        path = tmp_path / "c.yaml"
        path.write_text(snippet)
        names = re.findall(r"\$\{(\w+)\}", snippet)
        loaded = load(path, environ=dict.fromkeys(names, "some-key") | {"STATE_DIRECTORY": str(tmp_path)})
        assert loaded.warnings == ()
        for feed in loaded.settings.feeds.values():
            shown.append(feed.provider)
            adapter = create(feed.provider, Terms(endpoint=feed.endpoint))
            assert [symbol for symbol in feed.symbols if adapter.refusal(symbol) is not None] == []
    assert sorted(shown) == list(BUILT_IN)


def test_the_message_that_is_shown_is_read_by_the_description_beside_it(tmp_path: Path) -> None:
    from pricestreamd.feeds.settings import GenericFeedSettings
    from pricestreamd.providers.description import Description

    (message,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    (snippet,) = [snippet for snippet in SNIPPETS if "provider: generic" in snippet]
    path = tmp_path / "c.yaml"
    path.write_text(snippet)
    (feed,) = load(path, environ={"PRICES_TOKEN": "canary-token"}).settings.feeds.values()
    assert isinstance(feed, GenericFeedSettings)
    description = Description(
        on_open=feed.on_open,
        subscribe=feed.subscribe,
        match=feed.match,
        items=feed.items,
        symbol=feed.symbol,
        price=feed.price,
        volume=feed.volume,
        timestamp=feed.timestamp,
        time_unit=feed.time_unit,
    )
    adapter = create("generic", Terms(feed="us", description=description))
    adapter.symbols.add("AAPL")
    assert list(adapter.decode(message.strip(), 5.0)) == [Tick("AAPL", 164.07, 1700000001.123, 5.0, 100.0, None, "us")]
    assert list(adapter.on_open()) == ['{"op": "hello", "token": "canary-token"}']
    (request,) = adapter.encode_subscribe(["AAPL", "MSFT"])
    assert json.loads(request.text) == {"op": "subscribe", "symbols": ["AAPL", "MSFT"]}


# --- the adapter that is shown


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The adapter of the document as an installed distribution; its name."""
    module = VALUE.partition(":")[0]
    install(tmp_path, NAME, VALUE, **{module: CODE})
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield NAME
    sys.modules.pop(module, None)


class Exchange:
    """The server that the document's adapter is for: two prices a symbol, and `NOPE` is none of its symbols."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.unsubscribed: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("X-Tickerplant-Key"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            if asked["op"] == "subscribe":
                good = [symbol for symbol in asked["symbols"] if symbol != "NOPE"]
                refused = {symbol: "no such symbol" for symbol in asked["symbols"] if symbol == "NOPE"}
                await socket.send_json({"type": "subscribed", "symbols": good, "refused": refused})
                await socket.send_str("not JSON")
                for symbol in good:
                    for price in ("1.25", 1.5):
                        trade = {"type": "trade", "symbol": symbol, "price": price, "size": 7, "time": 1700000001500}
                        await socket.send_json(trade)
            elif asked["op"] == "unsubscribe":
                self.unsubscribed += asked["symbols"]
                await socket.send_json({"type": "unsubscribed", "symbols": asked["symbols"]})
        return socket


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    server = Exchange()
    app = web.Application()
    app.router.add_get("/v1", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


async def test_the_adapter_that_is_shown_streams_prices_once_it_is_installed(installed: str) -> None:
    ticks: list[Tick] = []
    async with exchange() as server:
        client = WebSocketClient(installed, api_key="canary-key", endpoint=server.url)
        client.on_message(ticks.append)
        await client.connect()
        listening = asyncio.create_task(client.listen())
        await client.subscribe(["aapl", "MSFT", "NOPE"])
        await eventually(lambda: len(ticks) >= 4)
        assert {(tick.symbol, tick.price, tick.volume, tick.timestamp) for tick in ticks} == {
            (symbol, price, 7.0, 1700000001.5) for symbol in ("aapl", "MSFT") for price in (1.25, 1.5)
        }
        await client.unsubscribe(["MSFT"])
        await eventually(lambda: server.unsubscribed == ["MSFT"])
        await client.disconnect()
        await listening
        assert server.keys == ["canary-key"]


def in_use(installed: str) -> Adapter:
    adapter = create(installed, Terms(feed="us", api_key=Secret("canary-key")))
    for symbol in ("aapl", "MSFT", "NOPE"):
        adapter.symbols.add(symbol)
    return adapter


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "json"),
        ("[]", "type"),
        ('{"type":"trade","price":1}', "missing"),
        ('{"type":"trade","symbol":5,"price":1}', "type"),
        ('{"type":"trade","symbol":"AAPL","price":0}', "not_positive"),
        ('{"type":"trade","symbol":"AAPL","price":"nan"}', "not_finite"),
        ('{"type":"trade","symbol":"IBM","price":1}', "unknown_symbol"),
    ],
)
def test_the_adapter_that_is_shown_refuses_what_is_no_price(installed: str, frame: str, reason: str) -> None:
    assert in_use(installed).decode(frame, 5.0) == (Rejected(reason),)  # type: ignore[arg-type]


def test_the_adapter_that_is_shown_never_raises(installed: str) -> None:
    words = st.sampled_from(["type", "symbol", "price", "time", "size", "symbols", "refused", "text"])
    values = st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.text(max_size=4), max_size=3)
    kinds = st.sampled_from(["trade", "subscribed", "unsubscribed", "pong", "error", "AAPL"])
    frames = st.dictionaries(words, values | kinds | st.dictionaries(kinds, values), max_size=8)

    @given(st.binary(max_size=100) | frames.map(lambda frame: json.dumps(frame).encode()))
    def check(data: bytes) -> None:
        assert all(isinstance(message, Message) for message in in_use(installed).decode(data, 5.0))

    check()


def test_the_adapter_that_is_shown_keeps_its_limits_and_its_key(installed: str) -> None:
    adapter = in_use(installed)
    requests = adapter.encode_subscribe([f"S{n}" for n in range(250)])
    assert [len(request.symbols) for request in requests] == [100, 100, 50]
    assert "canary" not in repr(adapter.connect_params())
    assert adapter.profile == profile(installed)
    assert len(CODE.splitlines()) < 140
