"""Whatever texts come in, in whatever place: an answer that fits, never a 500, and nothing broken afterwards."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.support.controlled import World, bearer, controlled, world

TEXTS = [
    *("", " ", ".", "..", "/", "//", "\\", "undefined", "null", "NULL", "None", "true", "NaN", "Infinity", "-1", "0"),
    *("1e309", "0x7fffffffffffffff", "999999999999999999999999999999", "1;2", "${HOME}", "$(id)", "`id`", "%s%n%d"),
    *("%00", "%2e%2e%2f", "\0", "a\0b", "\n", "a\r\nX-Evil: 1", "\t", "\x1b[31mred", "\x7f", "\u0085", "\ufeff"),
    *("\u202etxt", "\u200b", "\u0000\u0001", "\ud7ff", "\U0001f600" * 3, "\u0130", "\u00df", "\u1e9e", "\ufb01"),
    *(
        "<script>alert(1)</script>",
        "'; DROP TABLE alerts;--",
        '" OR 1=1',
        "{{7*7}}",
        "{0.__class__}",
        "../../etc/passwd",
    ),
    *("*", "?", "[", "[]", "[!]", "a" * 129, "\u00e9" * 128, "__proto__", "constructor", "*" * 120, "[a-" * 40),
    *("token=abc", "Bearer x", "Authorization: Bearer y", "file:///etc/passwd", "http://169.254.169.254/"),
    *("explain", "a/explain", "a/firings", "rearm", "from-yaml/rearm", "#", "?symbol=AAPL", "a#b?c=d&e", "+", "%"),
]
KEYS = ("name", "symbol", "above", "baseline", "expires", "when", "hysteresis", "for", "notify", "active", "session")


async def answered(client: aiohttp.ClientSession, method: str, path: str, **more: Any) -> int:
    """The status; what comes is JSON, and of an error problem+json."""
    base = str(client._base_url).rstrip("/")
    async with client.request(method, URL(f"{base}{path}", encoded=True), **more) as response:
        text = await response.text()
        assert response.status < 500, (method, path, text)
        if response.status >= 400:
            assert response.content_type == "application/problem+json", (method, path)
            assert len(text) < 20_000
        if text:
            json.loads(text)
        return response.status


@pytest.fixture
async def both(tmp_path: Path) -> Any:
    async with world(tmp_path) as made, controlled(made, tmp_path, ["AAPL"]) as (_, client):
        client.headers.update(bearer(tmp_path))
        yield made, client


async def test_texts_in_paths_and_parameters(both: tuple[World, aiohttp.ClientSession]) -> None:
    _, client = both
    for text in TEXTS:
        part = quote(text, safe="") or "%20"
        for path in (f"/api/v1/alerts/{part}", f"/api/v1/alerts/{part}/explain", f"/api/v1/alerts/{part}/firings"):
            await answered(client, "GET", path)
        await answered(client, "DELETE", f"/api/v1/alerts/{part}")
        await answered(client, "POST", f"/api/v1/alerts/{part}/rearm")
        await answered(client, "PATCH", f"/api/v1/alerts/{part}", json={"above": 1})
        for path in ("/api/v1/alerts/from-yaml/explain", "/api/v1/alerts/from-yaml/firings"):
            await answered(client, "GET", f"{path}?symbol={part}&limit={part}")
            await answered(client, "GET", f"{path}?symbol={part}")
            await answered(client, "GET", f"{path}?{part}={part}")
        await answered(client, "POST", f"/api/v1/alerts/from-yaml/rearm?symbol={part}")
        await answered(client, "DELETE", f"/api/v1/alerts?symbol={part}")
        await answered(client, "DELETE", f"/api/v1/symbols?symbol={part}")


@pytest.mark.parametrize("raw", ["%ff%fe", "%c0%af", "%ed%a0%80", "%", "%zz", "%u0000", "a%00b"])
async def test_bytes_that_are_no_text_in_paths_and_parameters(
    both: tuple[World, aiohttp.ClientSession], raw: str
) -> None:
    _, client = both
    for method, path in (
        ("GET", f"/api/v1/alerts/{raw}"),
        ("GET", f"/api/v1/alerts/{raw}/explain?symbol={raw}"),
        ("GET", f"/api/v1/alerts/from-yaml/explain?symbol={raw}"),
        ("GET", f"/api/v1/alerts/from-yaml/firings?{raw}=1"),
        ("DELETE", f"/api/v1/alerts?symbol={raw}"),
        ("DELETE", f"/api/v1/alerts?{raw}={raw}"),
        ("DELETE", f"/api/v1/symbols?symbol={raw}"),
        ("PATCH", f"/api/v1/alerts/{raw}"),
    ):
        await answered(client, method, path, **({"json": {}} if method == "PATCH" else {}))


async def test_texts_in_every_key_of_a_body(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    for text in TEXTS:
        for key in KEYS:
            await answered(client, "POST", "/api/v1/alerts", json={"symbol": "AAPL", "above": 1, key: text})
        await answered(client, "POST", "/api/v1/alerts", json={"symbol": "AAPL", "above": 1, "notify": [text]})
        await answered(client, "POST", "/api/v1/alerts", json={"symbols": [text], "below": 1})
        await answered(client, "POST", "/api/v1/alerts", json={"symbol": "AAPL", "above": 1, "active": {text: text}})
        await answered(
            client, "POST", "/api/v1/alerts", json={"symbol": "AAPL", "above": 1, "active": {"timezone": text}}
        )
        await answered(client, "POST", "/api/v1/alerts", json={text: text})
        await answered(client, "POST", "/api/v1/symbols", json={"symbols": [text], "feed": text})
        await answered(client, "POST", "/api/v1/symbols", json={"symbols": [text]})
        await answered(client, "POST", "/api/v1/symbols", json={text: [text]})
        await answered(client, "PATCH", "/api/v1/alerts/from-yaml", json={text: text})
    # What was taken can be listed, explained, kept, and taken away again.
    await answered(client, "GET", "/api/v1/symbols")
    async with client.get("/api/v1/alerts") as response:
        listed = [alert for alert in (await response.json())["alerts"] if alert["source"] == "api"]
    assert listed
    for symbol in made.sources():
        made.tick(symbol, 150.0)
    for alert in listed:
        part = quote(alert["alert_id"], safe="")
        assert await answered(client, "GET", f"/api/v1/alerts/{part}/explain") == 200, alert
        assert await answered(client, "DELETE", f"/api/v1/alerts/{part}") == 204, alert
    for symbol, source in made.sources().items():
        if source == "api":
            assert await answered(client, "DELETE", f"/api/v1/symbols?symbol={quote(symbol, safe='')}") == 204, symbol
    saved = await made.saved()
    assert (saved.alerts, saved.symbols) == ((), ())


@pytest.mark.parametrize(
    "value", [None, True, -1, 0, 1e308, 5e-324, 10**99, [], [[]], {}, {"a": {"b": {}}}, [None], ""]
)
async def test_values_of_every_kind_in_every_key(both: tuple[World, aiohttp.ClientSession], value: Any) -> None:
    _, client = both
    for key in (*KEYS, "symbols", "below", "once", "cooldown", "trailing_percent", "change_percent", "on_blind"):
        body = {"symbol": "AAPL", "above": 1, key: value}
        await answered(client, "POST", "/api/v1/alerts", json=body)
    for key in ("symbols", "feed"):
        await answered(client, "POST", "/api/v1/symbols", json={"symbols": ["X"], key: value})
    assert await answered(client, "GET", "/api/v1/alerts") == 200
