"""Requests in the debug log, over real sockets."""

import logging

import pytest

from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon


async def test_a_request_is_a_debug_line_without_its_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pricestreamd.http")
    async with serving(SmallDaemon()) as (_, client):
        for path in ("/livez?token=canary", "/api/v1/prices/NOBODY?x=canary", "/" + "x" * 1000):
            async with client.get(path) as response:
                await response.read()
        async with client.get("/livez", headers={"Host": "stranger.example"}) as response:
            assert response.status == 421
    lines = [record.getMessage() for record in caplog.records if record.name == "pricestreamd.http.request_log"]
    assert [line.rpartition(" in ")[0] for line in lines] == [
        "GET /livez: 200",
        "GET /api/v1/prices/NOBODY: 404",
        f"GET /{'x' * 199}: 404",
        "GET /livez: 421",
    ]
    assert "canary" not in caplog.text
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


async def test_without_the_debug_log_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pricestreamd.http")
    async with serving(SmallDaemon()) as (_, client), client.get("/livez") as response:
        assert response.status == 200
    assert caplog.records == []
