"""`pricestreamd symbols list`, asked of a real HTTP server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pricestreamd.model.interface import SymbolReport
from pricestreamd.model.secret import Secret
from tests.support.command import Ran
from tests.support.command import run as command
from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon


async def symbols(*arguments: str, **environ: str) -> Ran:
    """`pricestreamd symbols` with these arguments, as a process."""
    return await command(Path.cwd(), "symbols", *arguments, environ=environ)


def report(symbol: str, **fields: Any) -> SymbolReport:
    known: dict[str, Any] = {"connection": 0, "state": "subscribed", "reason": None, "source": "yaml"}
    return {"symbol": symbol, "feed": "stocks", **known, **fields}  # type: ignore[typeddict-item]  # fields that exist


@pytest.fixture
def daemon() -> SmallDaemon:
    daemon = SmallDaemon()
    daemon.feed_reports["crypto"] = daemon.feed_reports["stocks"]
    daemon.symbol_reports = {
        row["symbol"]: row
        for row in (
            report("AAPL"),
            report("MSFT", source="watchlist", state="pending"),
            report("NOSUCH", source="api", state="rejected", reason="unknown\x1b[31m symbol"),
            report("BTC/USD", feed="crypto", connection=None, state="unplaced", reason="one connection of 1 symbol"),
        )
    }
    return daemon


async def test_every_symbol_is_a_line_with_its_feed_state_and_source(daemon: SmallDaemon) -> None:
    async with serving(daemon) as (server, _):
        ran = await symbols("list", "--url", server.address)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "symbol   feed    connection  state       source     reason\n"
        "AAPL     stocks  0           subscribed  yaml       -\n"
        "MSFT     stocks  0           pending     watchlist  -\n"
        "NOSUCH   stocks  0           rejected    api        unknown [31m symbol\n"
        "BTC/USD  crypto  -           unplaced    yaml       one connection of 1 symbol\n"
        "4 symbols\n"
    )


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--feed", "crypto"], ["BTC/USD"]),
        (["--state", "rejected"], ["NOSUCH"]),
        (["--feed", "stocks", "--state", "subscribed"], ["AAPL"]),
        (["--feed", "crypto", "--state", "subscribed"], []),
    ],
)
async def test_feed_and_state_pick(daemon: SmallDaemon, arguments: list[str], shown: list[str]) -> None:
    async with serving(daemon) as (server, _):
        plain, as_json = await asyncio.gather(
            symbols("list", *arguments, PRICESTREAM_URL=server.address),
            symbols("list", *arguments, "--json", PRICESTREAM_URL=server.address),
        )
    assert (plain.code, as_json.code) == (0, 0)
    assert [line.split()[0] for line in plain.out.splitlines()[1:-1]] == shown
    assert plain.out.splitlines()[-1] == f"{len(shown)} of 4 symbols"
    assert json.loads(as_json.out) == {"symbols": [daemon.symbol_reports[symbol] for symbol in shown]}


async def test_the_configuration_says_where_the_daemon_is_and_has_the_token(
    daemon: SmallDaemon, tmp_path: Path
) -> None:
    async with serving(daemon, auth_token=Secret("read-token")) as (server, _):
        config = tmp_path / "c.yaml"
        config.write_text(f"http: {{listen: '{server.address}', auth_token: '${{TOKEN}}'}}")
        ran = await symbols("list", "--config", str(config), "--json", TOKEN="read-token")
        assert ran.code == 0, ran.err
        assert len(json.loads(ran.out)["symbols"]) == 4
        refused = await symbols("list", "--url", server.address)
        assert refused.code == 69
        assert refused.err.startswith(f"pricestreamd symbols: http://{server.address} needs the auth_token of its ")


async def test_a_daemon_without_symbols_has_none(daemon: SmallDaemon) -> None:
    daemon.symbol_reports.clear()
    async with serving(daemon) as (server, _):
        ran = await symbols("list", "--url", server.address)
    assert ran == Ran(0, "0 symbols\n", "")


async def test_a_feed_that_is_not_there_is_named_with_those_that_are(daemon: SmallDaemon) -> None:
    async with serving(daemon) as (server, _):
        ran = await symbols("list", "--feed", "stock", "--url", server.address)
    assert ran == Ran(64, "", "pricestreamd symbols: no feed 'stock'; there are stocks, crypto\n")


async def test_nobody_answers_and_somebody_else_answers() -> None:
    ran = await symbols("list", "--url", "127.0.0.1:1")
    assert ran.code == 69
    assert ran.err == (
        "pricestreamd symbols: no daemon answers at http://127.0.0.1:1: is it running? (ClientConnectorError)\n"
    )

    async def answer(_: web.Request) -> web.Response:
        return web.json_response([])

    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/{path:.*}", answer)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    ran = await symbols("list", "--url", f"127.0.0.1:{port}")
    await runner.cleanup()
    told = f"http://127.0.0.1:{port} answers, but is no pricestreamd, or another version of it"
    assert ran == Ran(69, "", f"pricestreamd symbols: {told}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "pricestreamd symbols: the following arguments are required: ACTION"),
        (["show"], "pricestreamd symbols: argument ACTION: invalid choice: 'show'"),
        (["list", "--state", "live"], "pricestreamd symbols list: argument --state: invalid choice: 'live'"),
    ],
)
async def test_a_wrong_command_line_is_one_line_and_code_64(arguments: list[str], told: str) -> None:
    ran = await symbols(*arguments)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.startswith(told)
    assert ran.err.count("\n") == 1


async def test_help_has_an_example() -> None:
    for arguments in (["--help"], ["list", "--help"]):
        ran = await symbols(*arguments)
        assert ran.code == 0
        assert "example: pricestreamd symbols list --state rejected" in ran.out
