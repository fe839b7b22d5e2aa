"""What was answered lasts: the daemon as a process, killed right after its answer, reloaded, and asked by the commands."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import aiohttp

from pricestreamd.simulator.server import Simulator
from tests.support.command import run
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually


def config(simulator: Simulator, alerts: str = "", symbols: str = "AAPL, MSFT") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: key
    endpoint: {simulator.url}
    symbols: [{symbols}]
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
alerts:
  - {{name: from-yaml, symbol: AAPL, above: 1000000}}
{alerts}
http: {{listen: "127.0.0.1:0"}}
logging: {{level: debug, format: json}}
"""


async def tell(daemon: DaemonProcess, method: str, path: str, body: Any = None) -> int:
    """The status of a change with the daemon's own token."""
    token = (daemon.folder / "http-token").read_text().strip()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client:
        async with client.request(method, f"{daemon.url}{path}", json=body) as response:
            return response.status


async def test_what_was_answered_survives_a_kill_at_once(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator)
        for number in range(5):
            async with DaemonProcess(tmp_path, text) as daemon:
                body = {"name": f"n{number}", "symbol": "AAPL", "above": 500000 + number}
                assert await tell(daemon, "POST", "/api/v1/alerts", body) == 201
                if number:
                    assert await tell(daemon, "DELETE", f"/api/v1/alerts/n{number - 1}") == 204
                    assert await tell(daemon, "PATCH", f"/api/v1/alerts/n{number}", {"once": True}) == 200
                assert await tell(daemon, "POST", "/api/v1/symbols", {"symbols": [f"S{number}"]}) == 201
                daemon.process.kill()
                await daemon.process.wait()
        async with DaemonProcess(tmp_path, text) as daemon:
            alerts = (await daemon.get("/api/v1/alerts"))["alerts"]
            assert [(alert["alert_id"], alert["source"]) for alert in alerts] == [("from-yaml", "yaml"), ("n4", "api")]
            assert alerts[1]["written"] == {"name": "n4", "symbol": "AAPL", "above": 500004.0, "once": True}
            told = (await daemon.get("/api/v1/symbols"))["symbols"]
            assert {row["symbol"] for row in told if row["source"] == "api"} == {f"S{number}" for number in range(5)}
            assert await daemon.stop() == 0


async def test_an_alert_that_fired_once_stays_done_until_it_is_rearmed_and_that_lasts(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator:
        text = config(simulator)
        async with DaemonProcess(tmp_path, text) as daemon:
            assert (
                await tell(
                    daemon, "POST", "/api/v1/alerts", {"name": "low", "symbol": "AAPL", "above": 1, "once": True}
                )
                == 201
            )
            await daemon.until("/api/v1/alerts/low", lambda alert: alert["state"].get("AAPL") == "done")
            told = await daemon.until("/api/v1/alerts/low/firings", lambda answer: answer["firings"])
            first = told["firings"][0]["firing_id"]
            daemon.process.kill()
        async with DaemonProcess(tmp_path, text) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 50)
            alert = await daemon.get("/api/v1/alerts/low")
            assert (alert["state"], alert["firings"]) == ({"AAPL": "done"}, 1)
            assert await tell(daemon, "POST", "/api/v1/alerts/low/rearm") == 200
            told = await daemon.until("/api/v1/alerts/low/firings", lambda answer: len(answer["firings"]) == 2)
            assert told["firings"][1]["firing_id"] == first
            explained = await daemon.get("/api/v1/alerts/low/explain?symbol=aapl")
            assert "AAPL: is done" in explained["explanations"][0]["sentences"][0]
            assert len(explained["explanations"][0]["last_firings"]) == 2


async def test_a_reload_takes_over_what_it_names_and_says_so(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        async with DaemonProcess(tmp_path, config(simulator)) as daemon:
            assert await tell(daemon, "POST", "/api/v1/alerts", {"name": "mine", "symbol": "AAPL", "above": 5e5}) == 201
            assert (
                await tell(daemon, "POST", "/api/v1/alerts", {"name": "other", "symbol": "AAPL", "above": 5e5}) == 201
            )
            daemon.config.write_text(config(simulator, "  - {name: mine, symbol: MSFT, above: 600000}"))
            daemon.send(signal.SIGHUP)
            await daemon.said("alert mine is in the configuration now")
            alert = await daemon.get("/api/v1/alerts/mine")
            assert (alert["source"], alert["symbols"]) == ("yaml", ["MSFT"])
            assert await tell(daemon, "DELETE", "/api/v1/alerts/mine") == 409
            assert await tell(daemon, "DELETE", "/api/v1/alerts/other") == 204
            # What was added over the API is subscribed by the running connection.
            assert await tell(daemon, "POST", "/api/v1/symbols", {"symbols": ["TSLA"]}) == 201
            await daemon.until("/api/v1/prices", lambda prices: "TSLA" in prices)
            daemon.config.write_text(config(simulator))
            daemon.send(signal.SIGHUP)
            await daemon.until(
                "/api/v1/alerts", lambda told: [one["alert_id"] for one in told["alerts"]] == ["from-yaml"]
            )
            assert "TSLA" in await daemon.get("/api/v1/prices")
            # An alert over the API that loses its symbol to the file is told of.
            stop = {"name": "stop", "symbol": "MSFT", "below": 1}
            assert await tell(daemon, "POST", "/api/v1/alerts", stop) == 201
            fewer = config(simulator).replace("AAPL, MSFT", "AAPL")
            assert fewer != config(simulator)
            daemon.config.write_text(fewer)
            daemon.send(signal.SIGHUP)
            await daemon.said("stop cannot fire any more: no feed has MSFT now")
            assert await daemon.stop() == 0


async def test_the_token_comes_and_goes_with_the_daemon_and_is_in_no_line_of_its_log(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        async with DaemonProcess(tmp_path, config(simulator)) as daemon:
            path = tmp_path / "http-token"
            token = path.read_text().strip()
            assert path.stat().st_mode & 0o777 == 0o600
            assert await tell(daemon, "POST", "/api/v1/alerts", {"symbol": "AAPL", "above": 5e5}) == 201
            assert await daemon.stop() == 0
            assert not path.exists()
        assert not any(token in line for line in daemon.log)


async def test_writes_while_the_daemon_stops_neither_hang_nor_are_lost(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        text = config(simulator)
        answered = []
        async with DaemonProcess(tmp_path, text) as daemon:

            async def write(number: int) -> None:
                name = f"n{number}"
                try:
                    body = {"name": name, "symbol": "AAPL", "above": 5e5}
                    if await tell(daemon, "POST", "/api/v1/alerts", body) == 201:
                        answered.append(name)
                except (aiohttp.ClientError, OSError):
                    pass

            writing = [asyncio.create_task(write(number)) for number in range(60)]
            await eventually(lambda: len(answered) > 5)
            assert await daemon.stop(timeout=15) == 0
            await asyncio.gather(*writing)
        async with DaemonProcess(tmp_path, text) as daemon:
            known = {alert["alert_id"] for alert in (await daemon.get("/api/v1/alerts"))["alerts"]}
            assert set(answered) <= known


async def test_the_commands_find_the_daemon_and_its_token(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        async with DaemonProcess(tmp_path, config(simulator)) as daemon:
            assert daemon.url is not None
            where = {"STATE_DIRECTORY": str(tmp_path), "PRICESTREAM_URL": daemon.url}
            ran = await run(tmp_path, "alerts", "add", "AAPL", "--above", "1", "--name", "low", environ=where)
            assert (ran.code, ran.err) == (0, "")
            await daemon.until("/api/v1/alerts/low", lambda alert: alert["firings"] == 1)
            ran = await run(tmp_path, "alerts", "explain", "low", environ=where)
            assert "It has fired 1 time." in ran.out
            assert re.search(r"Z \(.*\): AAPL [\d.]+ is above 1\.00", ran.out)
            ran = await run(tmp_path, "symbols", "add", "TSLA", environ=where)
            assert ran.out.startswith("TSLA: added, feed us")


async def test_the_demo_prints_an_address_that_lets_one_change_things(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, "", command="demo") as daemon:
        await eventually(lambda: any("live page" in line for line in daemon.out))
        (line,) = [line for line in daemon.out if "live page" in line]
        found = re.search(r"(http://127\.0\.0\.1:\d+/)#token=([\w-]{43})\s", line)
        assert found is not None, line
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {found[2]}"}) as client:
            body = {"symbol": "AAPL", "above": 1}
            async with client.post(f"{found[1]}api/v1/alerts", json=body) as response:
                assert response.status == 201
        assert not any(found[2] in line for line in daemon.log)
        assert await daemon.stop() == 0
