"""Whatever texts come in, in whatever place: an answer that fits, never a 500, nothing broken afterwards: row E7."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.support.controlled import World, bearer, controlled, world

# Of kinds: nothing, paths, words of languages, numbers, formats, bytes that end something, letters that are not what they
# seem, what other programs run, globs, names of ours.
TEXTS = [
    *(
        "",
        " ",
        ".",
        "..",
        "/",
        "//",
        "\\",
        "undefined",
        "null",
        "NULL",
        "None",
        "nil",
        "true",
        "NaN",
        "Infinity",
        "-1",
        "0",
    ),
    *("1e309", "0x7fffffffffffffff", "999999999999999999999999999999", "1,000", "\u0661\u0662", "1;2", "-0", "1_000"),
    *("${HOME}", "$(id)", "`id`", "%s%n%d", "%(name)s", "{}", "{0.__class__}", "{{7*7}}", "<%= 7*7 %>", "#{7*7}"),
    *("%00", "%2e%2e%2f", "%252e", "%0d%0aX-Evil:1", "\0", "a\0b", "\n", "a\r\nX-Evil: 1", "\t", "\x1b[31mred", "\x7f"),
    *(
        "\u0085",
        "\u2028",
        "\ufeff",
        "\ufffd",
        "\uffff",
        "\u0001\u0002",
        "\u200b",
        "\u00ad",
        "\u202etxt",
        "\u2066a\u2069",
    ),
    *(
        "\ud7ff",
        "\U0001f600" * 3,
        "\U0010ffff",
        "e\u0301" * 9,
        "z\u0300\u0301\u0302" * 30,
        "\u0130",
        "\u0131",
        "\u00df",
    ),
    *("\u1e9e", "\ufb01", "\uff21\uff21", "\u0391\u0410A", "\u0627\u0644", "\ufdfa", "\u4e2d\u6587", "\uac00"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "'\"><svg onload=alert(1)>"),
    *("'; DROP TABLE alerts;--", '" OR 1=1', "1 UNION SELECT 1", "*)(uid=*", "/etc/passwd", "../../etc/passwd"),
    *("..\\..\\win.ini", "file:///etc/passwd", "http://169.254.169.254/", "<!DOCTYPE x [<!ENTITY y SYSTEM 'z'>]>"),
    *(
        "() { :;}; id",
        "| id",
        "& id",
        "\u2019; id",
        "=1+1",
        "@SUM(1)",
        "!!python/object:os.system",
        "&a [*a]",
        "- a: b",
    ),
    *("*", "?", "[", "[]", "[!]", "[z-a]", "*" * 120, "[a-" * 40, "a" * 129, "\u00e9" * 128, "a/" * 60, "A" * 7000),
    *("__proto__", "constructor", "hasOwnProperty", "token=abc", "Bearer x", "Authorization: Bearer y", "CON", "aux.h"),
    *(
        "explain",
        "a/explain",
        "a/firings",
        "rearm",
        "from-yaml/rearm",
        "#",
        "?symbol=AAPL",
        "a#b?c=d&e",
        "+",
        "%",
        "&",
        "=",
    ),
]
# They are asked for one after the other, so each has to be worth its time.
assert len(TEXTS) == len(set(TEXTS)) > 100
KEYS = ("name", "symbol", "above", "baseline", "expires", "when", "hysteresis", "for", "notify", "active", "session")


def base_of(client: aiohttp.ClientSession) -> str:
    return str(client._base_url).rstrip("/")


async def answered(client: aiohttp.ClientSession, method: str, path: str, **more: Any) -> int:
    """The status; what comes is JSON, and of an error problem+json."""
    async with client.request(method, URL(f"{base_of(client)}{path}", encoded=True), **more) as response:
        text = await response.text()
        assert response.status < 500, (method, path, text)
        if response.status >= 400:
            assert response.content_type == "application/problem+json", (method, path)
            assert len(text) < 20_000
        if response.content_type.endswith("json"):
            json.loads(text)
        return response.status


@pytest.fixture
async def both(tmp_path: Path) -> Any:
    # Thousands of requests: what asyncio notes of each call in its debug mode would take most of the time.
    asyncio.get_running_loop().set_debug(False)
    async with world(tmp_path) as made, controlled(made, tmp_path, ["AAPL"]) as (_, client):
        client.headers.update(bearer(tmp_path))
        yield made, client


async def test_e7_texts_in_paths_of_alerts_and_parameters(both: tuple[World, aiohttp.ClientSession]) -> None:
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


# What reads, with `{}` where a text may stand.
READS = (
    *("/{}", "/page/{}", "/api/v1/{}", "/api/v1/prices/{}", "/api/v1/prices/..%2f{}", "/api/v1/history/{}"),
    *("/api/v1/history/AAPL?limit={}", "/api/v1/history/AAPL?{}=1", "/api/v1/firings?limit={}", "/api/v1/config?{}={}"),
    *("/api/v1/openapi.json?{}", "/health?{}={}", "/metrics?name[]={}", "/api/v1/symbols?symbol={}", "/-/{}"),
)


async def test_e7_texts_in_every_parameter_of_what_reads(both: tuple[World, aiohttp.ClientSession]) -> None:
    _, client = both
    for text in TEXTS:
        part = quote(text, safe="") or "%20"
        for path in READS:
            await answered(client, "GET", path.replace("{}", part))
        for path in ("/livez?verbose={}", "/livez?{}", "/readyz?verbose={}"):
            # Whoever asks after the life of the process gets an answer.
            async with client.get(URL(f"{base_of(client)}{path.format(part)}", encoded=True)) as response:
                assert response.status == 200
        for parameter in ("event", "symbol"):
            url = URL(f"{base_of(client)}/api/v1/events?{parameter}={part}", encoded=True)
            async with client.get(url) as response:
                # The stream goes on, so it is left.
                assert response.status in (200, 400)


# What changes nothing about a read, and what a request is refused for.
QUIET_HEADERS = ("Accept", "Authorization", "If-None-Match", "User-Agent", "Range", "X-Forwarded-For", "Cookie")
LOUD_HEADERS = ("Origin", "Sec-Fetch-Site", "Content-Type")


async def test_e7_texts_in_every_header(both: tuple[World, aiohttp.ClientSession]) -> None:
    _, client = both
    for text in TEXTS:
        # Other letters cannot be sent in a header.
        value = text.encode("utf-8").decode("latin-1")
        if not all(letter == "\t" or (letter >= " " and letter != "\x7f") for letter in value) or len(value) > 1000:
            continue
        for path in ("/metrics", "/", "/api/v1/prices"):
            async with client.get(path, headers=dict.fromkeys(QUIET_HEADERS, value)) as response:
                assert response.status == 200
                assert "X-Evil" not in response.headers
        for name in (*QUIET_HEADERS, *LOUD_HEADERS):
            async with client.post("/api/v1/alerts", data=b"{}", headers={name: value}) as response:
                assert response.status in (401, 403, 415)


@pytest.mark.parametrize(
    "path",
    [
        *("page/../view.py", "page/%2e%2e/view.py", "page/..%2fview.py", "page/page.js%00", "page/", "page/nothing.js"),
        *("page/..%5cview.py", "page/....//view.py", "page/%252e%252e%252fview.py", "page//etc/passwd", "page/.%00/x"),
        *("nothing", "api/v1/", "api/v2/prices", "%00", "%ff%fe", "//evil.example/", "etc/passwd", "../../etc/passwd"),
    ],
)
async def test_e7_a_path_that_leads_nowhere_is_404(both: tuple[World, aiohttp.ClientSession], path: str) -> None:
    _, client = both
    host, port = client._base_url.host, client._base_url.port  # type: ignore[union-attr]  # it was given one
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("raw", ["%ff%fe", "%c0%af", "%ed%a0%80", "%", "%zz", "%u0000", "a%00b"])
async def test_e7_bytes_that_are_no_text_in_paths_and_parameters(
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


async def test_e7_texts_in_every_key_of_a_body(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    for number, text in enumerate(TEXTS):
        # Each text in some of the keys, each key with many of the texts.
        for key in (*KEYS, *KEYS)[number % len(KEYS) :][:3]:
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
async def test_e7_values_of_every_kind_in_every_key(both: tuple[World, aiohttp.ClientSession], value: Any) -> None:
    _, client = both
    for key in (*KEYS, "symbols", "below", "once", "cooldown", "trailing_percent", "change_percent", "on_blind"):
        body = {"symbol": "AAPL", "above": 1, key: value}
        await answered(client, "POST", "/api/v1/alerts", json=body)
    for key in ("symbols", "feed"):
        await answered(client, "POST", "/api/v1/symbols", json={"symbols": ["X"], key: value})
    assert await answered(client, "GET", "/api/v1/alerts") == 200
