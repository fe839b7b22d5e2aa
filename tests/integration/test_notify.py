"""People are told: the daemon as a process, a real mail server, a real HTTP endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.command import run
from tests.support.daemon import DaemonProcess
from tests.support.people import Mailbox
from tests.support.provider import ScriptedProvider
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually

ALERTS = "  - {name: high, symbol: AAPL, above: 200}"
SECRET = "c4n4ryT0kenOfTheTopic"


def config(provider: ScriptedProvider, sink: str, *, alerts: str = ALERTS, more: str = "") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: some-key
    endpoint: {provider.url}
    symbols: [AAPL, MSFT, NVDA]
    market_hours: always
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
stream: {{suspect: null}}
alerts:
{alerts}
sinks:
  phone: {{type: notify, {sink}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json, level: debug}}
{more}
"""


def address(receiver: Receiver, more: str = "") -> str:
    return f'"json://127.0.0.1:{receiver.port}/{SECRET}{more}"'


def texts(receiver: Receiver) -> list[str]:
    return [json.loads(received["raw"])["message"] for received in receiver.accepted]


async def subscribed(provider: ScriptedProvider, connections: int = 1) -> None:
    await eventually(lambda: len(provider.conversations) >= connections and "AAPL" in provider.last.subscribed)


async def price(provider: ScriptedProvider, symbol: str, value: float) -> None:
    await provider.last.price(symbol, value, int(time.time()))


async def pending(folder: Path, count: int) -> None:
    """Wait until so many deliveries are owed, on the disk."""

    def owed() -> int:
        with contextlib.closing(sqlite3.connect(f"file:{folder / 'state.db'}?mode=ro", uri=True)) as database:
            found: int = database.execute("SELECT count(*) FROM outbox WHERE sink = 'phone'").fetchone()[0]
        return found

    await eventually(lambda: owed() == count, timeout=15)


async def test_a_firing_arrives_by_mail_and_over_http(tmp_path: Path) -> None:
    with Mailbox() as mailbox:
        async with ScriptedProvider() as provider, Receiver() as receiver:
            text = config(provider, f'urls: ["{mailbox.address}", {address(receiver)}]')
            async with DaemonProcess(tmp_path, text) as daemon:
                await subscribed(provider)
                await price(provider, "AAPL", 199.0)
                await price(provider, "AAPL", 201.5)
                await eventually(lambda: mailbox.mails and receiver.accepted, timeout=15)
                assert await daemon.stop() == 0
    ((title, body),) = mailbox.mails
    assert title == "AAPL 201.50"
    assert body.startswith("AAPL 201.50 crossed above 200.00 at ")
    assert " New York [" in body
    assert texts(receiver) == [body]


async def test_several_that_fire_together_are_one_message_and_further_crossings_wait(tmp_path: Path) -> None:
    alerts = "  - {name: high, symbols: [AAPL, MSFT, NVDA], above: 200}"
    async with ScriptedProvider() as provider, Receiver() as receiver:
        text = config(provider, f"urls: [{address(receiver)}]", alerts=alerts)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider)
            await eventually(lambda: len(provider.last.subscribed) == 3)
            for symbol in ("AAPL", "MSFT", "NVDA"):
                await price(provider, symbol, 201.0)
            await eventually(lambda: receiver.accepted, timeout=15)
            await price(provider, "AAPL", 199.0)
            await price(provider, "AAPL", 202.0)
            await pending(tmp_path, 1)
            assert len(receiver.accepted) == 1
            assert await daemon.stop() == 0
            assert any("1 alerts stay in the outbox" in line for line in daemon.log)
        assert [line.split()[0] for line in texts(receiver)[0].splitlines()] == ["AAPL", "MSFT", "NVDA"]
        # Nobody is left believing that there was one only.
        async with DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: len(receiver.accepted) == 2, timeout=15)
            assert await daemon.stop() == 0
        assert texts(receiver)[1].startswith("AAPL 202.00 crossed above 200.00")


async def test_a_storm_waits_in_the_outbox_and_a_restart_tells_how_many_there_were(tmp_path: Path) -> None:
    alerts = "  - {name: high, symbol: AAPL, above: 200, trigger: every_update}"
    async with ScriptedProvider() as provider, Receiver() as receiver:
        text = config(provider, f"urls: [{address(receiver)}]", alerts=alerts, more="alert_storm: {per_minute: 2}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider)
            await price(provider, "AAPL", 201.0)
            await eventually(lambda: receiver.accepted, timeout=15)
            await pending(tmp_path, 0)
            for number in range(9):
                await price(provider, "AAPL", 202.0 + number)
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 10)
            await pending(tmp_path, 9)
            assert await daemon.stop() == 0
        await pending(tmp_path, 9)
        assert len(receiver.accepted) == 1
        async with DaemonProcess(tmp_path, text) as daemon:
            await pending(tmp_path, 0)
            assert await daemon.stop() == 0
    assert len(receiver.accepted) == 2
    assert "AAPL 210.00 is above 200.00" in texts(receiver)[1]
    assert texts(receiver)[1].endswith("(and 8 more before it)")


async def test_in_a_storm_a_sink_whose_receiver_is_away_is_never_shown_as_working(tmp_path: Path) -> None:
    alerts = "  - {name: high, symbol: AAPL, above: 200, trigger: every_update}"
    async with ScriptedProvider() as provider:
        async with Receiver() as receiver:
            text = config(provider, f"urls: [{address(receiver)}]", alerts=alerts, more="alert_storm: {per_minute: 4}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider)
            for number in range(60):
                await price(provider, "AAPL", 201.0 + number)
            await pending(tmp_path, 60)
            await daemon.said("failures in a row", timeout=15)
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 60)
            (sink,) = [one for one in (await daemon.get("/api/v1/sinks"))["sinks"] if one["sink"] == "phone"]
            assert (sink["delivered"], sink["last_success"]) == (0, None)
            assert not [line for line in daemon.log if "takes events again" in line]
            explained = await daemon.get("/api/v1/alerts/high/explain")
            told = json.dumps(explained)
            assert "Not yet delivered to phone" in told
            assert " Delivered to phone" not in told
            assert await daemon.stop() == 0


async def test_what_waited_while_the_service_was_away_says_late_after_a_kill_and_a_restart(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        receiver = Receiver()
        async with receiver:
            text = config(provider, f"urls: [{address(receiver)}], max_age: 100ms")
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider)
            await price(provider, "AAPL", 201.0)
            await daemon.said("urls[0]: no connection", timeout=15)
            await pending(tmp_path, 1)
            daemon.send(signal.SIGKILL)
            await daemon.process.wait()
        async with Receiver(port=receiver.port) as back, DaemonProcess(tmp_path, text) as daemon:
            await eventually(lambda: back.accepted, timeout=15)
            assert await daemon.stop() == 0
    (told,) = texts(back)
    assert told.startswith("LATE by ")
    assert "AAPL 201.00 is above 200.00" in told


async def test_of_two_addresses_only_the_one_that_failed_is_tried_again(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider, Receiver() as good, Receiver() as bad:

        async def refuse(_request: web.Request, _received: Received) -> web.StreamResponse:
            return web.Response(status=500)

        accept, bad.answer = bad.answer, refuse
        sink = f"urls: [{address(good)}, {address(bad)}], retry: {{delays: [50ms], max_age: 1h}}"
        async with DaemonProcess(tmp_path, config(provider, sink)) as daemon:
            await subscribed(provider)
            await price(provider, "AAPL", 201.0)
            await eventually(lambda: len(bad.requests) >= 2, timeout=20)
            bad.answer = accept
            await eventually(lambda: bad.accepted, timeout=40)
            await pending(tmp_path, 0)
            assert await daemon.stop() == 0
    assert len(good.requests) == len(bad.accepted) == 1
    assert not [line for line in daemon.log if SECRET in line]


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """Its port, and who has connected: it takes connections and says nothing."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: connections.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        for writer in connections:
            writer.close()
        server.close()
        await server.wait_closed()


async def test_an_address_that_hangs_does_not_hold_up_the_end_of_the_daemon(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider, silent_server() as (port, connections):
        sink = f'urls: ["mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org&mode=insecure&cto=60&rto=60"]'
        async with DaemonProcess(tmp_path, config(provider, sink, more="shutdown_timeout: 1s")) as daemon:
            await subscribed(provider)
            await price(provider, "AAPL", 201.0)
            await eventually(lambda: connections, timeout=15)
            assert await daemon.stop(timeout=6) == 0
            assert any("1 alerts stay in the outbox" in line for line in daemon.log)


@pytest.mark.parametrize("command", ["check", "run"])
async def test_an_address_that_nobody_understands_is_an_error_with_its_place(tmp_path: Path, command: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "feeds: {us: {provider: iex, api_key: k, symbols: [AAPL]}}\n"
        f"sinks:\n  phone:\n    type: notify\n    urls: [nonsense://{SECRET}]\n"
    )
    done = await run(tmp_path, command, "--config", str(path))
    assert done.code == 78
    assert "c.yaml:5:12: sinks.phone.urls[0]: Apprise does not understand this address" in done.said
    assert SECRET not in done.said


async def test_a_missing_library_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    # So it looks to Python where a module is not there.
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['apprise'] = None\n")
    path = tmp_path / "c.yaml"
    path.write_text("sinks: {phone: {type: notify, urls: ['ntfy://x/y']}}\n")
    done = await run(tmp_path, "check", "--config", str(path), environ={"PYTHONPATH": str(folder)})
    assert done.code == 78
    assert "pip install pricestreamd[notify]" in done.said
