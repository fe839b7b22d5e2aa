"""`pricestreamd alerts` and the changing half of `symbols`, as processes that tell a real HTTP server."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pricestreamd.model.secret import Secret
from tests.support.command import Ran, run
from tests.support.controlled import TOKEN_FILE, World, controlled, world


@dataclass
class Desk:
    """A running daemon without its network, and the command line beside it."""

    made: World
    folder: Path
    url: str

    async def __call__(self, *arguments: str, **environ: str) -> Ran:
        known = {"STATE_DIRECTORY": str(self.folder), "PRICESTREAM_URL": self.url}
        return await run(self.folder / "elsewhere", *arguments, environ={**known, **environ})


@contextlib.asynccontextmanager
async def desk_in(folder: Path, **settings: Any) -> AsyncIterator[Desk]:
    (folder / "elsewhere").mkdir()
    async with world(folder) as made, controlled(made, folder, ["AAPL", "MSFT"], **settings) as (server, _):
        yield Desk(made, folder, server.address)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_add_sets_an_alert_with_the_options_of_the_configuration(desk: Desk) -> None:
    ran = await desk(
        *("alerts", "add", "AAPL", "MSFT", "--name", "mine", "--above", "200.10", "--once", "--cooldown", "10m"),
        *("--hysteresis", "0.3%", "--when", "any", "--notify", "phone", "--notify", "log", "--for", "30s"),
        *("--active-days", "mon-fri", "--active-from", "09:30", "--active-timezone", "America/New_York"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("mine: set on AAPL, MSFT: above 200.1")
    rule = desk.made.service.board.rule("mine")
    assert rule is not None
    assert dict(rule.written) == {
        "above": 200.1,
        "hysteresis": 0.3,
        "once": True,
        "cooldown": 600.0,
        "for": 30.0,
        "active": {"days": "mon-fri", "from": "09:30", "to": "00:00", "timezone": "America/New_York"},
    }
    assert rule.notify == ("phone", "log")
    assert [row.alert_id for row in (await desk.made.saved()).alerts] == ["mine"]


async def test_add_tells_of_warnings_and_of_refusals_in_one_line(desk: Desk) -> None:
    ran = await desk("alerts", "add", "NOPE", "--trailing-percent", "-5", "--name", "t")
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == [
        "warning: no feed has the symbol NOPE: the alert cannot fire until one has: pricestreamd symbols add NOPE"
    ]
    ran = await desk("alerts", "add", "AAPL MSFT", "--above", "1", "--below", "2", "--name", "u")
    assert ran.out.splitlines()[1:-1] == [
        "warning: symbol: a space inside a symbol: is a comma missing (AAPL, MSFT)?",
        "warning: above: not more than below, so that one of the two is always true",
    ]
    assert ran.out.endswith(": pricestreamd symbols add 'AAPL MSFT'\n")
    for arguments, said in (
        (["AAPL"], "pricestreamd alerts: above: the alert on AAPL needs a condition"),
        (["AAPL", "--above", "1", "--notify", "phon"], "pricestreamd alerts: notify[0]: no sink 'phon'; did you mean"),
        (["AAPL", "--above", "1", "--name", "from-yaml"], "pricestreamd alerts: from-yaml is an alert of the config"),
    ):
        ran = await desk("alerts", "add", *arguments)
        assert (ran.code, ran.out) == (69, "")
        assert ran.err.startswith(said), ran.err
        assert ran.err.count("\n") == 1


async def test_list_is_a_table_with_state_distance_and_firings(desk: Desk) -> None:
    await desk("alerts", "add", "AAPL", "MSFT", "--below", "100", "--name", "low")
    desk.made.tick("AAPL", 99.0)
    desk.made.tick("MSFT", 101.0)
    await desk("alerts", "add", "NOPE", "--above", "1", "--once", "--name", "far")
    ran = await desk("alerts", "list")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "alert      symbol  conditions     state           price  distance   firings  source",
        "from-yaml  AAPL    above 500      armed           99.0   +405.05 %  0        yaml",
        "low        AAPL    below 100      firing          99.0   -          1        api",
        "low        MSFT    below 100      armed           101.0  -0.99 %    0        api",
        "far        NOPE    above 1, once  no feed has it  -      -          0        api",
        "3 alerts",
    ]
    ran = await desk("alerts", "list", "--symbol", "msft", "--json")
    assert [alert["alert_id"] for alert in json.loads(ran.out)["alerts"]] == ["low"]


async def test_explain_answers_in_sentences(desk: Desk) -> None:
    await desk("alerts", "add", "AAPL", "MSFT", "--below", "50", "--once", "--name", "low")
    desk.made.tick("AAPL", 95.0)
    desk.made.tick("AAPL", 90.0)
    for price in (80.0, 70.0, 60.0, 50.0):
        desk.made.tick("AAPL", price)
    await desk.made.notes.committed()
    ran = await desk("alerts", "explain", "low", "aapl")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("AAPL: is done: it has fired, and was to fire once; the last price is 50.00 of ")
    assert "  It has fired 1 time." in lines
    assert any(" ago): AAPL 50.00 crossed below 50.00. " in line or "just now): AAPL 50.00" in line for line in lines)
    ran = await desk("alerts", "explain", "low")
    assert "MSFT: waits for its condition" in ran.out
    assert "  Price below 50.00: not true; it would be at 50.00 (-50.00 %)." in ran.out
    ran = await desk("alerts", "explain", "low", "BTC/USD")
    assert ran == Ran(69, "", "pricestreamd alerts: The alert does not cover that symbol, or no feed has it.\n")
    assert json.loads((await desk("alerts", "explain", "low", "--json")).out)["alert_id"] == "low"


async def test_remove_and_rearm_tell_what_they_did(desk: Desk) -> None:
    for name, symbols in (("a", ["AAPL"]), ("b", ["AAPL", "MSFT"]), ("c/d e", ["MSFT"])):
        assert (await desk("alerts", "add", *symbols, "--above", "105", "--once", "--name", name)).code == 0
    desk.made.tick("MSFT", 106.0)
    ran = await desk("alerts", "rearm", "c/d e", "--symbol", "MSFT")
    assert ran == Ran(0, "c/d e: armed again for MSFT\n", "")
    ran = await desk("alerts", "remove", "--symbol", "AAPL")
    assert ran.out == (
        "a: removed\nb: stays for its symbols other than AAPL\nfrom-yaml: stays: it is in the configuration\n"
    )
    assert await desk("alerts", "remove", "c/d e", "b") == Ran(0, "c/d e: removed\nb: removed\n", "")
    await desk("alerts", "add", "AAPL", "--above", "1", "--name", "x")
    ran = await desk("alerts", "remove", "x", "b", "y")
    assert (ran.code, ran.err) == (
        69,
        "pricestreamd alerts: no alert 'b' (pricestreamd alerts list shows them) (removed before it: x)\n",
    )
    assert desk.made.alert_ids() == ["from-yaml"]


async def test_who_asks_for_an_alert_that_is_not_there_is_told_of_the_nearest(desk: Desk) -> None:
    for arguments in (["explain", "from-yml"], ["rearm", "from-yml"], ["remove", "from-yml"]):
        assert await desk("alerts", *arguments) == Ran(
            69,
            "",
            "pricestreamd alerts: no alert 'from-yml'; did you mean 'from-yaml'? (pricestreamd alerts list shows them)\n",
        )
    ran = await desk("symbols", "remove", "NOPE")
    assert ran == Ran(
        69, "", "pricestreamd symbols: NOPE is not among the symbols; pricestreamd symbols list shows them\n"
    )


async def test_who_removes_a_symbol_is_told_of_the_alerts_that_needed_it(desk: Desk) -> None:
    await desk("symbols", "add", "TSLA", "ETH/USD", "A B")
    await desk("alerts", "add", "TSLA", "--below", "100", "--name", "tsla-stop")
    said = "tsla-stop cannot fire any more: no feed has TSLA now"
    assert await desk("symbols", "remove", "TSLA", "ETH/USD") == Ran(
        0, f"TSLA: removed; warning: {said}\nETH/USD: removed\n", ""
    )
    await desk("symbols", "add", "TSLA")
    answer = json.loads((await desk("symbols", "remove", "TSLA", "--json")).out)
    assert answer == {"removed": ["TSLA"], "warnings": [said]}


async def test_a_symbol_with_a_space_is_added_with_a_question(desk: Desk) -> None:
    ran = await desk("symbols", "add", "AB CD")
    assert ran.out.splitlines()[1:] == ["warning: AB CD: a space inside a symbol: is a comma missing (AB, CD)?"]


async def test_symbols_are_added_and_removed(desk: Desk) -> None:
    ran = await desk("symbols", "add", "TSLA", "aapl")
    assert ran == Ran(0, "AAPL: is there already (yaml), feed stocks, pending\nTSLA: added, feed stocks, pending\n", "")
    assert json.loads((await desk("symbols", "add", "ETH/USD", "--json")).out)["added"] == ["ETH/USD"]
    assert await desk("symbols", "remove", "tsla", "ETH/USD") == Ran(0, "tsla: removed\nETH/USD: removed\n", "")
    ran = await desk("symbols", "remove", "AAPL")
    assert (ran.code, ran.out) == (69, "")
    assert ran.err == "pricestreamd symbols: AAPL is in the configuration of feed stocks: remove it there and reload.\n"
    ran = await desk("symbols", "add", "X", "--feed", "stoks")
    assert "did you mean 'stocks'?" in ran.err
    assert "TSLA" not in desk.made.sources()


@pytest.mark.parametrize(
    "arguments",
    [
        *(["alerts"], ["alerts", "show"], ["alerts", "add"], ["alerts", "add", "A", "--above", "nan"]),
        *(["alerts", "add", "A", "--when", "never"], ["alerts", "add", "A", "--nothing"], ["alerts", "rearm"]),
        *(["alerts", "add", "A", "--abov", "1"], ["alerts", "list", "--js"], ["symbols", "list", "--js"]),
        *(["alerts", "remove"], ["alerts", "remove", "a", "--symbol", "A"], ["symbols", "add"], ["symbols", "remove"]),
    ],
)
async def test_a_wrong_command_line_is_one_line_and_64(desk: Desk, arguments: list[str]) -> None:
    ran = await desk(*arguments)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.startswith("pricestreamd")
    assert ran.err.count("\n") == 1


async def test_help_names_every_setting_of_an_alert_and_an_example(desk: Desk) -> None:
    ran = await desk("alerts", "add", "--help")
    assert ran.code == 0
    for option in ("--above", "--day-volume-above", "--for", "--on-blind", "--active-timezone", "--notify"):
        assert option in ran.out
    assert "Fires when the price reaches this or more." in " ".join(ran.out.split())
    for action in ("list", "add", "remove", "rearm", "explain"):
        assert f"example: pricestreamd alerts {action}" in (await desk("alerts", action, "--help")).out


# --- the token


async def test_without_a_token_nothing_is_changed_and_the_places_are_named(desk: Desk) -> None:
    (desk.folder / TOKEN_FILE).unlink()
    ran = await desk("alerts", "add", "AAPL", "--above", "1")
    assert ran.code == 69
    assert f"no token is in {desk.folder / TOKEN_FILE} nor /run/price-stream/http-token" in ran.err
    # Reading needs none.
    assert (await desk("alerts", "list")).code == 0


async def test_a_token_left_behind_is_passed_over_for_the_right_one(desk: Desk, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (desk.folder / TOKEN_FILE).rename(runtime / TOKEN_FILE)
    ran = await desk("alerts", "add", "AAPL", "--above", "1", RUNTIME_DIRECTORY=str(runtime))
    assert ran.code == 0
    (runtime / TOKEN_FILE).write_text("an old token\n")
    ran = await desk("alerts", "add", "AAPL", "--above", "1", RUNTIME_DIRECTORY=str(runtime))
    said = f"the token is wrong (a new one is made at each start): http://{desk.url} does not take that in"
    remedy = "name the configuration of the daemon that runs there with --config"
    assert (ran.code, ran.err) == (69, f"pricestreamd alerts: {said} {runtime / TOKEN_FILE}; {remedy}\n")


async def test_the_configuration_has_the_token(tmp_path: Path) -> None:
    async with desk_in(tmp_path, auth_token=Secret("configured token")) as desk:
        config = tmp_path / "c.yaml"
        config.write_text(f"http: {{listen: '{desk.url}', auth_token: '${{TOKEN}}'}}\n")
        arguments = ("alerts", "add", "AAPL", "--above", "1", "--config", str(config))
        ran = await desk(*arguments, PRICESTREAM_URL="", TOKEN="configured token")
        assert ran.code == 0, ran.err
        ran = await desk(*arguments, PRICESTREAM_URL="", TOKEN="another token")
        assert ran.code == 69
        assert "the token is wrong: " in ran.err
        assert "another token" not in ran.err
        ran = await desk("alerts", "list")
        assert ran == Ran(
            69,
            "",
            f"pricestreamd alerts: http://{desk.url} needs the auth_token of its configuration: "
            "name that file with --config\n",
        )


async def test_a_token_of_this_machine_is_not_sent_to_another(desk: Desk) -> None:
    ran = await desk("alerts", "add", "AAPL", "--above", "1", PRICESTREAM_URL="http://192.0.2.1:9777")
    assert ran.code == 69
    assert ran.err.startswith("pricestreamd alerts: no token for http://192.0.2.1:9777: name the configuration")


async def test_a_redirect_is_not_followed_and_what_a_stranger_says_is_cleaned(desk: Desk) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.method == "POST":
            return web.json_response({"detail": "\x1b[31mred\nand two lines"}, status=409)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    runner = web.AppRunner(web.Application())
    runner.app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        ran = await desk("alerts", "add", "AAPL", "--above", "1", PRICESTREAM_URL=url)
        assert ran == Ran(69, "", "pricestreamd alerts:  [31mred and two lines\n")
        ran = await desk("alerts", "list", PRICESTREAM_URL=url)
        assert (ran.code, ran.err) == (
            69,
            f"pricestreamd alerts: http://{url} answered 307 Temporary Redirect to /api/v1/alerts\n",
        )
        assert asked == ["/api/v1/alerts", "/api/v1/alerts"]
    finally:
        await runner.cleanup()
