"""The HTTP server over real sockets: every path, every refusal, and who may ask."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from pricestreamd.http.app import HttpServer
from pricestreamd.http.listening import ListenError
from pricestreamd.http.settings import HttpSettings
from pricestreamd.http.view import Check
from pricestreamd.model.secret import Secret
from tests.support.http_serving import exchange, serving
from tests.support.small_daemon import SmallDaemon, connection, feed
from tests.support.waiting import eventually


@pytest.fixture
def daemon() -> SmallDaemon:
    small = SmallDaemon()
    small.publish("AAPL", 200.0)
    small.publish("AAPL", 202.0)
    small.publish("BTC/USD", 60000.5, volume=None)
    small.alert_reports.append(
        {
            "alert_id": "BTC/USD-1a2b3c4d",
            "name": None,
            "symbols": ["BTC/USD"],
            "conditions": {"above": 70000.0},
            "source": "yaml",
        }
    )
    return small


@pytest.fixture
async def client(daemon: SmallDaemon) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(daemon) as (_, session):
        yield session


async def problem(response: aiohttp.ClientResponse, status: int) -> dict[str, object]:
    assert response.status == status
    assert response.content_type == "application/problem+json"
    body: dict[str, object] = await response.json(content_type=None)
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


# --- what programs ask


async def test_prices_have_the_fields_of_the_contract(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/prices") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        prices = await response.json()
    assert set(prices) == {"AAPL", "BTC/USD"}
    assert set(prices["AAPL"]) == {"price", "change", "change_percent", "volume", "timestamp", "feed", "stale"}
    assert prices["AAPL"]["price"] == 202.0
    assert prices["AAPL"]["change"] == 2.0
    assert prices["AAPL"]["change_percent"] == pytest.approx(1.0)
    assert prices["BTC/USD"]["volume"] is None


@pytest.mark.parametrize("path", ["BTC%2FUSD", "btc%2Fusd", "BTC/USD", "%20btc%2fusd"])
async def test_a_symbol_in_a_path_is_url_encoded_and_matched_ignoring_case(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(URL(f"{client._base_url}/api/v1/prices/{path}", encoded=True)) as response:
        assert response.status == 200
        assert list(await response.json()) == ["BTC/USD"]


async def test_an_unknown_symbol_is_404(client: aiohttp.ClientSession) -> None:
    for path in ("prices", "history"):
        async with client.get(f"/api/v1/{path}/NOPE") as response:
            await problem(response, 404)


async def test_a_symbol_without_a_price_says_so(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/prices/msft") as response:
        assert "no price yet" in str((await problem(response, 404))["detail"])


async def test_history_is_oldest_first_and_limited(daemon: SmallDaemon, client: aiohttp.ClientSession) -> None:
    for price in (203.0, 204.0):
        daemon.publish("AAPL", price)
    async with client.get("/api/v1/history/aapl") as response:
        answer = await response.json()
    assert answer["symbol"] == "AAPL"
    assert [entry["price"] for entry in answer["history"]] == [200.0, 202.0, 203.0, 204.0]
    assert set(answer["history"][0]) == {"timestamp", "price", "volume"}
    async with client.get("/api/v1/history/AAPL?limit=2") as response:
        assert [entry["price"] for entry in (await response.json())["history"]] == [203.0, 204.0]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "99999999", "\u0662", "1e3", "%00"])
async def test_a_bad_limit_is_400_and_says_what_to_write(client: aiohttp.ClientSession, limit: str) -> None:
    async with client.get(f"/api/v1/history/AAPL?limit={limit}") as response:
        body = await problem(response, 400)
    assert body["parameter"] == "limit"
    assert "whole number" in str(body["detail"])


async def test_an_unknown_parameter_is_400_with_the_nearest_known_one(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/events?symbols=AAPL") as response:
        body = await problem(response, 400)
    assert body["parameter"] == "symbols"
    assert "did you mean symbol?" in str(body["detail"])


async def test_stats_feeds_symbols_and_alerts_have_the_shapes_of_the_contract(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/stats") as response:
        stats = await response.json()
    assert stats["running"] is True
    assert stats["symbols_tracked"] == 3
    async with client.get("/api/v1/feeds") as response:
        feeds = await response.json()
    assert set(feeds["stocks"]) == {"provider", "state", "backup", "market_open", "connections"}
    assert set(feeds["stocks"]["connections"][0]) == {
        *("connection", "state", "silent", "symbols", "since", "lag_seconds", "reconnects", "last_error"),
    }
    async with client.get("/api/v1/symbols") as response:
        symbols = (await response.json())["symbols"]
    assert [entry["symbol"] for entry in symbols] == ["AAPL", "MSFT", "BTC/USD"]
    async with client.get("/api/v1/alerts") as response:
        alerts = (await response.json())["alerts"]
    async with client.get("/api/v1/alerts/BTC%2FUSD-1a2b3c4d") as response:
        assert await response.json() == alerts[0]
    async with client.get("/api/v1/alerts/none") as response:
        await problem(response, 404)


async def test_metrics_come_in_the_format_that_is_asked_for(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"pricestream_" in await response.read()
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")


async def test_a_number_that_is_not_finite_is_null(daemon: SmallDaemon, client: aiohttp.ClientSession) -> None:
    daemon.price_reports["AAPL"]["change_percent"] = float("nan")
    async with client.get("/api/v1/prices/AAPL") as response:
        assert (await response.json())["AAPL"]["change_percent"] is None


# --- health


async def test_health_is_200_while_every_feed_is_live(client: aiohttp.ClientSession) -> None:
    async with client.get("/health") as response:
        body = await response.json()
        assert response.status == 200
    assert body["status"] == "healthy"
    assert body["stats"]["running"] is True
    assert body["feeds"]["stocks"]["provider"] == "twelvedata"
    assert body["feeds"]["stocks"]["healthy"] is True


async def test_health_is_503_and_names_the_feed_and_the_reason(
    daemon: SmallDaemon, client: aiohttp.ClientSession
) -> None:
    daemon.feed_reports["crypto"] = feed(connection("parked", last_error="invalid key apikey=hunter22"), state="parked")
    async with client.get("/health") as response:
        body = await response.json()
        assert response.status == 503
    assert body["status"] == "unhealthy"
    assert "refused by the provider" in body["feeds"]["crypto"]["reason"]
    assert "hunter22" not in str(body)
    assert body["feeds"]["stocks"]["healthy"] is True


async def test_health_is_503_when_the_stream_does_not_run(daemon: SmallDaemon, client: aiohttp.ClientSession) -> None:
    daemon.running = False
    async with client.get("/health") as response:
        assert response.status == 503


async def test_livez_and_readyz_answer_plain_text_and_list_their_checks(
    daemon: SmallDaemon, client: aiohttp.ClientSession
) -> None:
    async with client.get("/livez") as response:
        assert (response.status, await response.text()) == (200, "ok\n")
    async with client.get("/readyz?verbose") as response:
        assert await response.text() == (
            "[+]config ok\n[+]state ok: writable\n[+]feeds ok: 1 of 1 live\nreadyz check passed\n"
        )
    daemon.ready_checks[1] = Check("state", ok=False, detail="disk full")
    async with client.get("/readyz") as response:
        assert response.status == 503
        assert await response.text() == "readyz check failed\n[-]state failed: disk full\n"


async def test_readyz_fails_only_when_all_feeds_are_down(daemon: SmallDaemon, client: aiohttp.ClientSession) -> None:
    daemon.feed_reports["crypto"] = feed(connection("parked"), state="parked")
    async with client.get("/readyz") as response:
        assert response.status == 200
    del daemon.feed_reports["stocks"]
    async with client.get("/readyz") as response:
        assert response.status == 503
    async with client.get("/livez") as response:
        assert response.status == 200


# --- the page's files


async def test_the_page_and_its_files_are_served_with_their_types(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        assert response.content_type == "text/html"
        text = await response.text()
        etag = response.headers["ETag"]
    assert "style=" not in text
    assert "<script>" not in text
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml")):
        async with client.get(f"/page/{name}") as response:
            assert (response.status, response.content_type) == (200, kind)
    async with client.get("/", headers={"If-None-Match": etag}) as response:
        assert response.status == 304


# --- who may ask


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(
            ("localhost", 200),
            ("localhost:1234", 200),
            ("LOCALHOST.", 200),
            ("127.0.0.1:9777", 200),
            ("[::1]:9777", 200),
        ),
        *(("dash.example", 200), ("dash.example:8443", 200), ("evil.example", 421), ("localhost.evil.example", 421)),
        *(("127.0.0.1.evil.example", 421), ("", 421), ("127.0.0.2", 421), ("evil.example:9777", 421), ("[::2]", 421)),
    ],
)
async def test_only_known_host_names_are_answered(daemon: SmallDaemon, host: str, status: int) -> None:
    async with serving(daemon, allowed_hosts=("dash.example",)) as (_, client):
        for path in ("/", "/livez", "/api/v1/prices"):
            async with client.get(path, headers={"Host": host}) as response:
                assert response.status == status


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: localhost\r\n"], ids=["none", "two"])
async def test_exactly_one_host_header_is_answered(daemon: SmallDaemon, hosts: bytes) -> None:
    async with serving(daemon) as (server, _):
        answer = await exchange(server, b"GET /livez HTTP/1.1\r\nConnection: close\r\n" + hosts + b"\r\n")
    assert answer.split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:9777", "http://localhost:9777", 200),
        ("localhost:9777", "http://LOCALHOST:9777", 200),
        ("dash.example", "https://dash.example", 200),
        ("dash.example", "https://dash.example:443", 200),
        ("localhost:9777", "http://localhost:3000", 403),
        ("localhost:9777", "https://evil.example", 403),
        ("localhost:9777", "null", 403),
        ("localhost:9777", "", 403),
        ("localhost:9777", "http://127.0.0.1:9777", 403),
    ],
)
async def test_a_foreign_origin_is_403(daemon: SmallDaemon, host: str, origin: str, status: int) -> None:
    async with (
        serving(daemon, allowed_hosts=("dash.example",)) as (_, client),
        client.get("/api/v1/prices", headers={"Host": host, "Origin": origin}) as response,
    ):
        assert response.status == status
        assert "Access-Control-Allow-Origin" not in response.headers
        if status == 403:
            await problem(response, 403)


@pytest.mark.parametrize(
    ("path", "open_to_all"),
    [
        *(("/", True), ("/page/page.js", True), ("/livez", True), ("/readyz?verbose", True), ("/health", True)),
        *(("/metrics", False), ("/api/v1/prices", False), ("/api/v1/prices/AAPL", False), ("/api/v1/events", False)),
        *(("/api/v1/history/AAPL", False), ("/api/v1/stats", False), ("/api/v1/feeds", False)),
        *(("/api/v1/symbols", False), ("/api/v1/alerts", False), ("/nothing", False), ("/page/../metrics", False)),
    ],
)
async def test_with_a_token_reads_need_it_except_what_holds_no_data(
    daemon: SmallDaemon, path: str, open_to_all: bool
) -> None:
    token = "correct horse battery staple"
    async with serving(daemon, auth_token=Secret(token)) as (_, client):
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}, {"Authorization": "Bearer "}):
            async with client.get(path, headers=header) as response:
                if open_to_all:
                    assert response.status == 200
                else:
                    await problem(response, 401)
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
        async with client.get(path, headers={"Authorization": f"bearer {token}"}) as response:
            assert response.status in (200, 404)


async def test_a_token_in_the_query_opens_nothing(daemon: SmallDaemon) -> None:
    async with (
        serving(daemon, auth_token=Secret("long enough")) as (_, client),
        client.get("/api/v1/prices?token=long+enough") as response,
    ):
        assert response.status == 401


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/livez", "/health", "/api/v1/prices", "/nothing", "/metrics"])
async def test_every_answer_carries_the_security_headers(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Server"] == "pricestreamd"
    assert headers["Cache-Control"] in ("no-store", "no-cache")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(client: aiohttp.ClientSession, method: str) -> None:
    for path in ("/api/v1/prices", "/", "/health"):
        async with client.request(method, path) as response:
            await problem(response, 405)
            assert "GET" in response.headers["Allow"]


async def test_head_is_answered_like_get_without_a_body(client: aiohttp.ClientSession) -> None:
    async with client.head("/api/v1/prices") as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 2
        assert await response.read() == b""


# --- limits


async def test_a_failing_handler_is_500_without_our_insides(
    daemon: SmallDaemon, client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.broken = True
    async with client.get("/api/v1/stats", headers={"Accept": "text/html"}) as response:
        body = await problem(response, 500)
        assert response.headers["X-Frame-Options"] == "DENY"
    assert "secret inside" not in str(body)
    assert "Traceback" not in str(body)
    assert any(record.exc_info for record in caplog.records)


async def test_a_connection_too_many_is_refused_at_once_and_the_others_stay(daemon: SmallDaemon) -> None:
    async with serving(daemon, max_connections=3) as (server, client):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(client.get("/api/v1/events"))
            answer = await exchange(server, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"3 connections are open, and more are not served." in answer
            assert server.hub.readers == 3
        await eventually(lambda: server.hub.readers == 0)
        async with client.get("/livez") as response:
            assert response.status == 200


# --- where it listens


async def test_a_port_in_use_is_told_with_its_address(daemon: SmallDaemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = HttpServer(daemon, HttpSettings(listen=address))
        with pytest.raises(ListenError, match=f"^cannot listen on {address}: address already in use, by "):
            await server.start()
        await server.stop()


async def test_an_address_that_is_not_ours_is_told_with_the_reason(daemon: SmallDaemon) -> None:
    for listen in ("192.0.2.1:0", "no.such.name.invalid:0"):
        with pytest.raises(ListenError, match=f"cannot listen on {listen}: ."):
            await HttpServer(daemon, HttpSettings(listen=listen)).start()


async def test_the_address_is_that_of_the_page(daemon: SmallDaemon) -> None:
    async with serving(daemon, listen="localhost:0") as (server, client):
        assert server.url == f"http://{server.address}/"
        async with client.get("/livez") as response:
            assert response.status == 200
    async with serving(daemon, listen="0.0.0.0:0") as (server, _):
        assert server.url is not None
        assert server.url.startswith("http://127.0.0.1:")


async def test_a_unix_socket_serves_and_is_removed_at_the_end(daemon: SmallDaemon, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    settings = HttpSettings(listen=f"unix:{path}")
    # What a killed daemon left behind does not stop the next one.
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    server = HttpServer(daemon, settings)
    await server.start()
    assert server.address == f"unix:{path}"
    assert server.url is None
    assert path.stat().st_mode & 0o777 == 0o660
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client:
        async with client.get("http://localhost/api/v1/prices") as response:
            assert response.status == 200
        # A second daemon does not take it away from the first.
        with pytest.raises(ListenError, match="address already in use"):
            await HttpServer(daemon, settings).start()
        async with client.get("http://localhost/livez") as response:
            assert response.status == 200
    await server.stop()
    assert not path.exists()


async def test_a_file_in_the_place_of_the_socket_is_left_alone(daemon: SmallDaemon, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match=r"http\.sock"):
        await HttpServer(daemon, HttpSettings(listen=f"unix:{path}")).start()
    assert path.read_text() == "precious"


async def test_stopping_ends_idle_connections_and_takes_no_more(daemon: SmallDaemon) -> None:
    async with serving(daemon) as (server, client):
        async with client.get("/livez") as response:
            assert response.status == 200
        host, _, port = server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await server.stop(5.0)
        assert loop.time() - began < 1.0
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection(host, int(port))
        await server.stop(5.0)
