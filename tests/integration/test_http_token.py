"""Who may change something: the token, where it is, how often one may be wrong, and which pages may ask."""

import logging
import os
from pathlib import Path

import aiohttp
import pytest

from pricestreamd.http.access import WRONG_TOKENS
from pricestreamd.http.app import HttpServer
from pricestreamd.http.settings import HttpSettings
from pricestreamd.model.secret import Secret
from tests.support.controlled import TOKEN_FILE, bearer, controlled, world
from tests.support.waiting import eventually

ALERT = {"name": "mine", "symbol": "AAPL", "above": 200}
WRITES = [
    ("POST", "/api/v1/alerts"),
    ("PATCH", "/api/v1/alerts/from-yaml"),
    ("DELETE", "/api/v1/alerts/from-yaml"),
    ("DELETE", "/api/v1/alerts?symbol=AAPL"),
    ("POST", "/api/v1/alerts/from-yaml/rearm"),
    ("POST", "/api/v1/symbols"),
    ("DELETE", "/api/v1/symbols?symbol=AAPL"),
    # Nothing is changed by these; that they are not there is nobody's business without a token.
    ("POST", "/nothing"),
    ("PUT", "/api/v1/prices"),
    ("DELETE", "/"),
]
READS = ["/api/v1/alerts", "/api/v1/alerts/from-yaml/explain", "/api/v1/alerts/from-yaml/firings", "/api/v1/symbols"]


@pytest.mark.parametrize("configured", [None, "a configured token"])
async def test_every_write_needs_the_token_and_reads_only_where_one_is_configured(
    tmp_path: Path, configured: str | None
) -> None:
    token = Secret(configured) if configured else None
    async with world(tmp_path) as made, controlled(made, tmp_path, auth_token=token) as (_, client):
        for method, path in WRITES:
            for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}):
                async with client.request(method, path, json=ALERT, headers=header) as response:
                    assert response.status == 401, (method, path)
                    assert response.headers["WWW-Authenticate"] == 'Bearer realm="pricestreamd"'
                    assert response.content_type == "application/problem+json"
                    detail = (await response.json())["detail"]
                    assert ("wrong token" in detail) is ("Bearer wrong" in header.values())
                    assert (str(tmp_path / TOKEN_FILE) in detail) is (configured is None)
        for path in READS:
            async with client.get(path) as response:
                assert response.status == (401 if configured else 200)
        assert made.alert_ids() == ["from-yaml"]
        header = {"Authorization": f"Bearer {configured}"} if configured else bearer(tmp_path)
        async with client.post("/api/v1/alerts", json=ALERT, headers=header) as response:
            assert response.status == 201
        async with client.delete("/", headers=header) as response:
            assert response.status == 405
        assert (tmp_path / TOKEN_FILE).exists() is (configured is None)


async def test_the_token_is_new_at_each_start_and_its_file_goes_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / TOKEN_FILE
    async with world(tmp_path) as made:
        async with controlled(made, tmp_path):
            first = path.read_text()
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.stat().st_uid == os.getuid()
            assert len(first.strip()) >= 43
        assert not path.exists()
        path.write_text("left behind by a daemon that was killed\n")
        async with controlled(made, tmp_path):
            assert path.read_text() not in (first, "left behind by a daemon that was killed\n")


async def test_a_second_daemon_that_finds_the_port_taken_leaves_the_token_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, _):
        before = (tmp_path / TOKEN_FILE).read_text()
        settings = HttpSettings(listen=server.address)
        second = HttpServer(made.view, settings, control=made.control, token_file=tmp_path / TOKEN_FILE)
        with pytest.raises(OSError, match="already in use"):
            await second.start()
        await second.stop()
        assert (tmp_path / TOKEN_FILE).read_text() == before


async def test_where_the_token_cannot_be_written_nothing_can_be_changed_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / TOKEN_FILE).mkdir()
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        async with client.post("/api/v1/alerts", json=ALERT, headers={"Authorization": "Bearer x"}) as response:
            assert response.status == 401
        async with client.get("/api/v1/alerts") as response:
            assert response.status == 200
    assert [record.levelname for record in caplog.records if "nothing can be changed" in record.message] == ["ERROR"]


async def test_the_token_is_in_no_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        token = (tmp_path / TOKEN_FILE).read_text().strip()
        async with client.post("/api/v1/alerts", json=ALERT, headers=bearer(tmp_path)) as response:
            assert response.status == 201
        async with client.post(f"/api/v1/alerts?token={token}", json=ALERT) as response:
            assert token not in await response.text()
    assert token not in caplog.text


async def test_who_guesses_is_told_to_wait_and_the_right_token_is_let_in_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        wrong = {"Authorization": "Bearer wrong"}
        statuses = []
        for _ in range(WRONG_TOKENS + 10):
            async with client.post("/api/v1/alerts", json=ALERT, headers=wrong) as response:
                statuses.append(response.status)
        assert statuses[:WRONG_TOKENS] == [401] * WRONG_TOKENS
        assert 429 in statuses
        async with client.post("/api/v1/alerts", json=ALERT, headers=wrong) as response:
            if response.status == 429:
                assert response.headers["Retry-After"] == "1"
        # Nobody who gives no token is counted, and nobody who reads is stopped.
        async with client.post("/api/v1/alerts", json=ALERT) as response:
            assert response.status == 401
        async with client.get("/api/v1/alerts", headers=wrong) as response:
            assert response.status == 200
        async with client.post("/api/v1/alerts", json=ALERT, headers=wrong) as response:
            assert response.status == 429
        async with client.post("/api/v1/alerts", json=ALERT, headers=bearer(tmp_path)) as response:
            assert response.status == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
async def test_a_foreign_page_changes_nothing_even_with_the_token(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (_, client):
        async with client.post("/api/v1/alerts", json=ALERT, headers={**bearer(tmp_path), **headers}) as response:
            assert response.status == status
        assert ("mine" in made.alert_ids()) is (status == 201)


async def test_the_pages_own_origin_may(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, client):
        headers = {**bearer(tmp_path), "Origin": f"http://{server.address}", "Sec-Fetch-Site": "same-origin"}
        async with client.post("/api/v1/alerts", json=ALERT, headers=headers) as response:
            assert response.status == 201


async def test_it_works_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    async with world(tmp_path) as made:
        server = HttpServer(
            made.view, HttpSettings(listen=f"unix:{path}"), control=made.control, token_file=tmp_path / TOKEN_FILE
        )
        await server.start()
        try:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client:
                url = "http://localhost/api/v1/alerts"
                async with client.post(url, json=ALERT, headers=bearer(tmp_path)) as response:
                    assert response.status == 201
        finally:
            await server.stop()
        await eventually(lambda: not (tmp_path / TOKEN_FILE).exists())
