"""A daemon that runs reads another configuration: what differs changes, nothing else is touched, nothing is lost."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually

SYMBOLS = ["AAPL", "MSFT"]


@pytest.fixture
async def market() -> AsyncIterator[Simulator]:
    async with Simulator("twelvedata", rate=200) as simulator:
        yield simulator


@pytest.fixture
async def other_market() -> AsyncIterator[Simulator]:
    async with Simulator("twelvedata", rate=200) as simulator:
        yield simulator


def config(feeds: dict[str, str], sinks: dict[str, Any] | None = None, more: str = "") -> str:
    written = {
        name: f"{{provider: twelvedata, api_key: '${{KEY}}', market_hours: always, reconnect: {{initial_delay: 50ms}}, {feed}}}"
        for name, feed in feeds.items()
    }
    return f"""
feeds: {{{", ".join(f"{name}: {feed}" for name, feed in written.items())}}}
sinks: {json.dumps(sinks or {})}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
state: {{path: state.db}}
{more}
"""


def us(simulator: Simulator, *symbols: str, more: str = "") -> str:
    return f"endpoint: '{simulator.url}', symbols: {json.dumps(symbols or SYMBOLS)}{more}"


def daemon_of(folder: Path, text: str) -> DaemonProcess:
    return DaemonProcess(folder, text, KEY="any-key")


async def reload(daemon: DaemonProcess, text: str, status: int = 200) -> dict[str, Any]:
    """`POST /-/reload` with another file; the answer."""
    daemon.config.write_text(text)
    token = (daemon.folder / "http-token").read_text().strip()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(f"{daemon.url}/-/reload") as response,
    ):
        answer: dict[str, Any] = json.loads(await response.read())
        assert response.status == status, answer
        return answer


async def command(daemon: DaemonProcess, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """`pricestreamd reload`: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pricestreamd", "reload", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STATE_DIRECTORY": str(daemon.folder), "KEY": "any-key", **environ},
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode(), err.decode()


async def never(_request: web.Request, _received: Received) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def sequences(*paths: Path) -> list[int]:
    return [json.loads(line)["sequence"] for path in paths for line in path.read_text().splitlines()]


async def test_a_sink_is_replaced_without_losing_an_event(market: Simulator, tmp_path: Path) -> None:
    def sinks(path: str) -> dict[str, Any]:
        return {"events": {"type": "file", "path": path, "events": ["price.update"]}}

    async with daemon_of(tmp_path, config({"us": us(market)}, sinks("one.jsonl"))) as daemon:
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 50)
        answer = await reload(daemon, config({"us": us(market)}, sinks("two.jsonl")))
        assert answer["changed"] == ["sinks.events.path"]
        before = (await daemon.get("/api/v1/stats"))["updates_received"]
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > before + 50)
        assert await daemon.stop() == 0
    assert market.connects == 1
    found = sequences(tmp_path / "one.jsonl", tmp_path / "two.jsonl")
    assert found == list(range(1, len(found) + 1))
    second = len(sequences(tmp_path / "two.jsonl"))
    assert second > 50
    # Each of the two says at its end what became of what it was given.
    first = len(found) - second
    said = "\n".join(daemon.log)
    assert f"sink events, as it was before the reload: received {first}, delivered {first}, left 0" in said
    assert f"sink events: received {second}, delivered {second}, left 0" in said


@pytest.mark.parametrize(
    "mended", [{"type": "file", "path": "mended.jsonl"}, {"type": "file", "path": "mended.jsonl", "durable": True}]
)
async def test_a_reload_that_mends_a_failing_sink_delivers_its_backlog_at_once_in_order(
    market: Simulator, tmp_path: Path, mended: dict[str, Any]
) -> None:
    def sinks(mine: dict[str, Any]) -> dict[str, Any]:
        return {"mine": {**mine, "events": ["price.update"]}}

    async def refuse(_request: web.Request, _received: Received) -> web.StreamResponse:
        return web.Response(status=401)

    more = "shutdown_timeout: 5m"
    async with Receiver() as receiver:
        receiver.answer = refuse
        retry = {"delays": ["0s", "0s", "1h"]}
        failing = {"type": "webhook", "url": receiver.url, "allow_private": True, "retry": retry}
        async with daemon_of(tmp_path, config({"us": us(market)}, sinks(failing), more)) as daemon:
            await daemon.until("/api/v1/sinks", lambda answer: answer["sinks"][0]["state"] == "breaker_open")
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 100)
            await reload(daemon, config({"us": us(market)}, sinks(mended), more))
            await daemon.said("events go to the sink as it is now")
            before = (await daemon.get("/api/v1/stats"))["updates_received"]
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > before)
            assert await daemon.stop() == 0
    found = sequences(tmp_path / "mended.jsonl")
    assert found == list(range(1, len(found) + 1))
    assert len(found) > 100
    said = "\n".join(daemon.log)
    assert "sink mine, as it was before the reload: received 0, delivered 0, left 0" in said
    assert "were not delivered" not in said


async def test_an_end_that_follows_a_reload_at_once_still_delivers_what_the_old_sink_held(
    market: Simulator, tmp_path: Path
) -> None:
    def sinks(mine: dict[str, Any]) -> dict[str, Any]:
        return {"mine": {**mine, "events": ["price.update"]}}

    more = "shutdown_timeout: 4s"
    async with Receiver() as receiver:
        receiver.answer = never
        hanging = {"type": "webhook", "url": receiver.url, "allow_private": True}
        async with daemon_of(tmp_path, config({"us": us(market)}, sinks(hanging), more)) as daemon:
            await eventually(lambda: receiver.requests)
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 50)
            await reload(daemon, config({"us": us(market)}, sinks({"type": "file", "path": "all.jsonl"}), more))
            assert await daemon.stop() == 0
    found = sequences(tmp_path / "all.jsonl")
    assert found == list(range(1, len(found) + 1))
    assert len(found) > 50


async def test_the_same_file_goes_on_when_its_sink_is_replaced(market: Simulator, tmp_path: Path) -> None:
    def sinks(size: int) -> dict[str, Any]:
        return {"events": {"type": "file", "path": "e.jsonl", "events": ["price.update"], "batch": {"size": size}}}

    async with daemon_of(tmp_path, config({"us": us(market)}, sinks(10))) as daemon:
        for size in range(11, 21):
            before = (await daemon.get("/api/v1/stats"))["updates_received"]
            await daemon.until("/api/v1/stats", lambda stats, before=before: stats["updates_received"] > before)
            await reload(daemon, config({"us": us(market)}, sinks(size)))
        assert await daemon.stop() == 0
    found = sequences(tmp_path / "e.jsonl")
    assert found == list(range(1, len(found) + 1))


async def test_a_sink_that_hangs_holds_up_no_reload_and_its_alert_reaches_the_next_one(
    market: Simulator, tmp_path: Path
) -> None:
    alerts = "alerts: [{name: up, symbol: AAPL, above: 0.01, once: true, on_start: fire}]\nshutdown_timeout: 1s"

    def sinks(url: str) -> dict[str, Any]:
        return {"hook": {"type": "webhook", "url": url, "allow_private": True, "events": ["price.alert"]}}

    async with Receiver() as hanging, Receiver() as good:
        hanging.answer = never
        async with daemon_of(tmp_path, config({"us": us(market)}, sinks(hanging.url), alerts)) as daemon:
            await eventually(lambda: hanging.requests)
            began = asyncio.get_running_loop().time()
            await reload(daemon, config({"us": us(market)}, sinks(good.url), alerts))
            assert asyncio.get_running_loop().time() - began < 1.0
            await eventually(lambda: good.ids, 20)
            assert await daemon.stop() == 0
    assert good.ids == [hanging.requests[0]["id"]]


async def test_a_sink_that_comes_hears_of_what_happens_from_then_on(market: Simulator, tmp_path: Path) -> None:
    sinks = {"events": {"type": "file", "path": "e.jsonl", "events": ["price.update"]}}
    async with daemon_of(tmp_path, config({"us": us(market)})) as daemon:
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 50)
        await reload(daemon, config({"us": us(market)}, sinks))
        await eventually(lambda: (tmp_path / "e.jsonl").exists() and len(sequences(tmp_path / "e.jsonl")) > 50)
        await reload(daemon, config({"us": us(market)}))
        at = (await daemon.get("/api/v1/stats"))["updates_received"]
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > at + 50)
        assert await daemon.stop() == 0
    found = sequences(tmp_path / "e.jsonl")
    assert found == list(range(found[0], found[-1] + 1))
    assert found[0] > 50
    assert found[-1] <= at


async def test_a_feed_that_comes_or_goes_leaves_the_others_their_connections(
    market: Simulator, other_market: Simulator, tmp_path: Path
) -> None:
    async with daemon_of(tmp_path, config({"us": us(market)})) as daemon:
        await daemon.until("/health", lambda health: health["status"] == "healthy")
        both = config({"us": us(market), "eu": us(other_market, "SAP")})
        assert (await reload(daemon, both))["changed"] == ["feeds.eu"]
        await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "MSFT", "SAP"})
        assert set((await daemon.get("/health"))["feeds"]) == {"us", "eu"}
        await reload(daemon, config({"us": us(market)}))
        await eventually(lambda: not other_market.connections)
        assert set((await daemon.get("/health"))["feeds"]) == {"us"}
        assert set(await daemon.get("/api/v1/prices")) == {"AAPL", "MSFT"}
        await reload(daemon, both)
        await daemon.until("/api/v1/prices", lambda prices: "SAP" in prices)
        assert await daemon.stop() == 0
    assert (market.connects, other_market.connects) == (1, 2)


async def test_a_feed_whose_endpoint_changes_is_replaced_and_keeps_what_was_asked_of_it(
    market: Simulator, other_market: Simulator, tmp_path: Path
) -> None:
    async with daemon_of(tmp_path, config({"us": us(market)})) as daemon:
        token = (tmp_path / "http-token").read_text().strip()
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.post(f"{daemon.url}/api/v1/symbols", json={"symbols": ["NVDA"]}) as response,
        ):
            assert response.status == 201, await response.text()
        await eventually(lambda: "NVDA" in market.subscribed)
        await reload(daemon, config({"us": us(other_market)}))
        await eventually(lambda: set(other_market.subscribed) == {"AAPL", "MSFT", "NVDA"})
        await eventually(lambda: not market.connections)
        assert await daemon.stop() == 0


async def test_what_was_missed_while_a_feed_is_replaced_is_told_as_a_gap(
    market: Simulator, other_market: Simulator, tmp_path: Path
) -> None:
    sinks = {"gaps": {"type": "file", "path": "gaps.jsonl", "events": ["price.gap"], "batch": {"interval": "10ms"}}}

    def gaps() -> list[dict[str, Any]]:
        path = tmp_path / "gaps.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    async with daemon_of(tmp_path, config({"us": us(market)}, sinks)) as daemon:
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 50)
        await reload(daemon, config({"us": us(other_market)}, sinks))
        await eventually(lambda: len(gaps()) == 1)
        # Under another name it is the same hole for whoever watches its symbols.
        await reload(daemon, config({"them": us(market)}, sinks))
        await eventually(lambda: len(gaps()) == 2)
        assert await daemon.stop() == 0
    assert [(gap["feed"], set(gap["symbols"])) for gap in gaps()] == [("us", set(SYMBOLS)), ("them", set(SYMBOLS))]
    assert all(gap["from"] < gap["to"] for gap in gaps())


async def test_what_a_sink_that_is_taken_away_could_not_deliver_is_told_and_no_task_is_said_to_have_failed(
    market: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text("import asyncio\nasync def take(event):\n    await asyncio.sleep(3600)\n")
    mine = {"mine": {"type": "call", "call": "slow:take", "events": ["price.update"]}}
    others = {"errors": {"type": "file", "path": "errors.jsonl", "events": ["price.error"]}}
    more = "plugin_paths: [.]\nshutdown_timeout: 500ms"
    async with daemon_of(tmp_path, config({"us": us(market)}, mine | others, more)) as daemon:
        await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 50)
        await reload(daemon, config({"us": us(market)}, others, more))
        await daemon.said("events were not delivered before it was taken away")
        errors = tmp_path / "errors.jsonl"
        await eventually(lambda: errors.exists() and "before it was taken away" in errors.read_text())
        assert "task_failed" not in errors.read_text()
        assert await daemon.stop() in {0, 75}


async def test_a_reload_that_is_asked_for_too_early_or_too_late_ends_nothing(market: Simulator, tmp_path: Path) -> None:
    daemon = daemon_of(tmp_path, config({"us": us(market)}))
    daemon._wait_ready = False
    async with daemon:
        # The signal means something as soon as the program has begun, long before there is a loop.
        status = Path(f"/proc/{daemon.process.pid}/status")

        def ignored() -> int:
            return int(
                next(line for line in status.read_text().splitlines() if line.startswith("SigIgn")).split()[1], 16
            )

        await eventually(lambda: ignored() & 1)
        while daemon.url is None:
            daemon.send(signal.SIGHUP)
            daemon.send(signal.SIGUSR1)
            await asyncio.sleep(0.01)
        daemon.send(signal.SIGTERM)
        while daemon.process.returncode is None:
            # Not by `send`: that would take the exit code from under the loop when the process has just ended.
            with suppress(ProcessLookupError):
                os.kill(daemon.process.pid, signal.SIGHUP)
            await asyncio.sleep(0.001)
        assert daemon.process.returncode == 0


async def test_a_backup_that_a_reload_names_takes_over(
    market: Simulator, other_market: Simulator, tmp_path: Path
) -> None:
    alone = config({"us": us(market), "spare": us(other_market, "IBM")})
    helped = config(
        {
            "us": us(market, more=", backup: spare"),
            "spare": us(other_market, "IBM"),
        }
    )
    async with daemon_of(tmp_path, alone) as daemon:
        await daemon.until("/health", lambda health: health["status"] == "healthy")
        assert (await reload(daemon, helped))["changed"] == ["feeds.us.backup"]
        market.refuse(60.0)
        await market.drop(market.connections[0])
        await daemon.until("/api/v1/prices", lambda prices: prices["AAPL"]["feed"] == "spare", 20)
        await reload(daemon, alone)
        await eventually(lambda: set(other_market.subscribed) == {"IBM"})
        assert await daemon.stop() == 0


async def test_listeners_come_go_and_stay(market: Simulator, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nheard = {}\n"
        "def tell(name):\n    heard[name] = heard.get(name, 0) + 1\n"
        "    Path(__file__).with_name(name).write_text(str(heard[name]))\n"
        "def one(event): tell('one')\ndef two(event): tell('two')\n"
    )

    def listening(*names: str) -> str:
        listeners = ", ".join(f"{{event: price.update, call: 'mine:{name}'}}" for name in names)
        return config({"us": us(market)}, more=f"plugin_paths: [.]\nlisteners: [{listeners}]")

    def count(name: str) -> int:
        path = tmp_path / name
        return int(path.read_text() or 0) if path.exists() else 0

    async with daemon_of(tmp_path, listening("one")) as daemon:
        await eventually(lambda: count("one") > 5)
        await reload(daemon, listening("one", "two"))
        await eventually(lambda: count("two") > 5)
        await reload(daemon, listening("two"))
        at = count("one")
        before = count("two")
        await eventually(lambda: count("two") > before + 20)
        assert count("one") == at
        missing = await reload(daemon, listening("two", "three"), status=422)
        assert "three" in missing["errors"][0]["detail"]
        assert await daemon.stop() == 0


async def test_the_command_tells_the_outcome(market: Simulator, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, config({"us": us(market)})) as daemon:
        where = ["--config", str(daemon.config), "--url", str(daemon.url)]
        assert await command(daemon, *where) == (0, "reloaded: nothing has changed\n", "")
        daemon.config.write_text(
            config({"us": us(market, "AAPL", "IBM")}).replace("json}", "json, stats_interval: 1h}")
        )
        code, out, _ = await command(daemon, *where)
        assert code == 0
        assert out.splitlines()[:2] == ["reloaded: feeds.us.symbols", "at the next start: logging.stats_interval"]
        good = daemon.config.read_text()
        daemon.config.write_text(good + "alerts: [{symbol: IBM, above: high}, {symbol: IBM, abov: 3}]\n")
        code, out, err = await command(daemon, *where)
        assert (code, out) == (78, "")
        lines = err.splitlines()
        assert "alerts[0].above: " in lines[0] and lines[0].startswith(f"{daemon.config}:")
        assert "did you mean" in lines[1]
        assert lines[2] == "pricestreamd reload: The old configuration stays: the new one has 2 errors."
        await daemon.until("/metrics", lambda text: "pricestream_config_last_reload_successful 0.0" in text)
        daemon.config.write_text("feeds: [")
        code, _, err = await command(daemon, "--config", str(daemon.config), MAINPID=str(daemon.process.pid))
        assert code == 78 and f"{daemon.config}:1:" in err
        await daemon.said("reload refused")
        daemon.config.write_text(good)
        assert (await command(daemon, *where, "--json"))[0] == 0
        await daemon.until("/metrics", lambda text: "pricestream_config_last_reload_successful 1.0" in text)
        assert await daemon.stop() == 0
    code, _, err = await command(daemon, *where)
    assert code == 69 and "is the daemon running" in err


async def test_the_token_and_the_names_of_the_http_side_change(market: Simulator, tmp_path: Path) -> None:
    def text(http: str) -> str:
        return config({"us": us(market)}).replace('"127.0.0.1:0"', f'"127.0.0.1:0", {http}')

    async def status(daemon: DaemonProcess, path: str = "/api/v1/stats", **headers: str) -> int:
        async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{daemon.url}{path}") as response:
            return response.status

    async with daemon_of(tmp_path, text("allowed_hosts: []")) as daemon:
        assert await status(daemon, Host="prices.example") == 421
        answer = await reload(daemon, text("allowed_hosts: [prices.example], auth_token: a-new-token-of-mine"))
        assert answer["changed"] == ["http.auth_token", "http.allowed_hosts"]
        assert await status(daemon, Host="prices.example") == 401
        assert await status(daemon, Authorization="Bearer a-new-token-of-mine") == 200
        # The token that was made at the start opens nothing any more.
        made = (tmp_path / "http-token").read_text().strip()
        assert await status(daemon, Authorization=f"Bearer {made}") == 401
        daemon.config.write_text(text("allowed_hosts: []"))
        code, out, err = await command(daemon, "--config", str(daemon.config), "--url", str(daemon.url))
        assert (code, out) == (69, "") and "token is wrong" in err
        daemon.send(signal.SIGHUP)
        await daemon.said("reloaded", 10)
        await eventually(lambda: sum("reloaded" in line for line in daemon.log) == 2)
        assert await status(daemon) == 200
        assert (await reload(daemon, daemon.config.read_text()))["changed"] == []
        assert await daemon.stop() == 0


async def test_what_cannot_change_is_refused_by_name_and_nothing_else_changes(
    market: Simulator, tmp_path: Path
) -> None:
    async with daemon_of(tmp_path, config({"us": us(market)})) as daemon:
        text = config({"us": us(market, "AAPL")}).replace('"127.0.0.1:0"', '"127.0.0.1:1"')
        answer = await reload(daemon, text, status=422)
        assert [fault["field"] for fault in answer["errors"]] == ["http.listen"]
        assert {row["symbol"] for row in (await daemon.get("/api/v1/symbols"))["symbols"]} == set(SYMBOLS)
        assert await daemon.stop() == 0


async def test_reloads_that_are_asked_for_together_are_done_one_after_the_other(
    market: Simulator, tmp_path: Path
) -> None:
    async with daemon_of(tmp_path, config({"us": us(market)})) as daemon:
        text = config({"us": us(market, "AAPL", "IBM")})
        answers = await asyncio.gather(*(reload(daemon, text) for _ in range(5)))
        assert sum(bool(answer["changed"]) for answer in answers) >= 1
        daemon.send(signal.SIGHUP)
        await eventually(lambda: sum("reloaded" in line for line in daemon.log) >= 2)
        await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"AAPL", "IBM"})
        assert await daemon.stop() == 0
    assert market.connects == 1
