"""What a restart keeps: which alerts have fired, what is owed, last prices; the daemon as a process that is killed."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.command import run as command
from tests.support.daemon import DaemonProcess
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.waiting import eventually


def config(provider: ScriptedProvider, alerts: str, more: str = "") -> str:
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: some-key
    endpoint: {provider.url}
    symbols: [AAPL]
    market_hours: always
    reconnect: {{initial_delay: 50ms, max_delay: 200ms}}
stream: {{suspect: null}}
alerts:
{alerts}
sinks:
  book: {{type: file, path: alerts.jsonl, events: [price.alert]}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""


ONCE = "  - {name: once, symbol: AAPL, above: 200, once: true}"
AGAIN = "  - {name: again, symbol: AAPL, above: 200}"


def delivered(folder: Path) -> list[dict[str, Any]]:
    """What the sink has, once: a kill between a delivery and the note of it delivers again, with the same id."""
    path = folder / "alerts.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({event.get("firing_id", event["id"]): event for event in lines}.values())


def lines(folder: Path) -> int:
    return len((folder / "alerts.jsonl").read_text().splitlines())


async def subscribed(provider: ScriptedProvider, connections: int) -> None:
    await eventually(lambda: len(provider.conversations) >= connections and "AAPL" in provider.last.subscribed)


async def tick(provider: ScriptedProvider, daemon: DaemonProcess, *prices: float) -> None:
    """Send prices, and wait until the daemon has taken them."""
    before = (await daemon.get("/api/v1/stats"))["updates_received"]
    for price in prices:
        await provider.last.price("AAPL", price)
    await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] == before + len(prices))


async def kill(daemon: DaemonProcess) -> None:
    daemon.process.send_signal(signal.SIGKILL)
    await daemon.process.wait()


def phase(folder: Path, alert: str) -> str | None:
    with sqlite3.connect(f"file:{folder / 'state.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT record FROM alert_states WHERE alert_id = ?", (alert,)).fetchall()
    return json.loads(rows[0][0])["conditions"][0]["phase"] if rows else None


async def saved(folder: Path, alert: str, wanted: str) -> None:
    """Wait until the state has what the next process must know."""
    await eventually(lambda: phase(folder, alert) == wanted)


async def post(daemon: DaemonProcess, folder: Path, alert: dict[str, Any]) -> None:
    token = (folder / "http-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{daemon.url}/api/v1/alerts", json=alert) as answer:
            assert answer.status == 201, await answer.text()


async def test_what_has_fired_is_known_after_a_kill_and_fires_anew_only_after_it_was_false(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, f"{ONCE}\n{AGAIN}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0, 201.0)
            await eventually(lambda: len(delivered(tmp_path)) == 2)
            await kill(daemon)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 2)
            assert (await daemon.get("/api/v1/prices"))["AAPL"]["price"] == 201.0
            await tick(provider, daemon, 202.0)
            alerts = {alert["alert_id"]: alert["state"] for alert in (await daemon.get("/api/v1/alerts"))["alerts"]}
            assert alerts == {"once": {"AAPL": "done"}, "again": {"AAPL": "firing"}}
            await tick(provider, daemon, 199.0)
            await saved(tmp_path, "again", "armed")
            await kill(daemon)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 3)
            await tick(provider, daemon, 203.0)
            await eventually(lambda: len(delivered(tmp_path)) == 3)
            assert await daemon.stop() == 0
        firings = delivered(tmp_path)
        assert [event["alert_id"] for event in firings] == ["once", "again", "again"]
        assert [event["after_gap"] for event in firings] == [False, False, True]
        assert firings[2]["last_price"] == 199.0


async def test_an_alert_that_changes_in_the_file_while_the_daemon_is_down_begins_anew(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        async with DaemonProcess(tmp_path, config(provider, ONCE)) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0, 201.0)
            await eventually(lambda: len(delivered(tmp_path)) == 1)
            assert await daemon.stop() == 0
        async with DaemonProcess(tmp_path, config(provider, ONCE.replace("200", "202"))) as daemon:
            await subscribed(provider, 2)
            await tick(provider, daemon, 203.0)
            await eventually(lambda: len(delivered(tmp_path)) == 2)
            assert await daemon.stop() == 0


async def test_a_stop_keeps_the_last_moment(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, AGAIN)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 201.0, 150.0)
            assert await daemon.stop() == 0
        await saved(tmp_path, "again", "armed")
        with sqlite3.connect(tmp_path / "state.db") as database:
            assert database.execute("SELECT price FROM prices").fetchall() == [(150.0,)]
            assert database.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


async def test_a_second_daemon_on_the_same_state_ends_with_73_and_names_the_first(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, AGAIN)
        async with DaemonProcess(tmp_path, text) as first:
            async with DaemonProcess(tmp_path, text, ready=False) as second:
                assert await second.process.wait() == 73
            assert str(first.process.pid) in second.log[-1]
            assert "Traceback" not in "".join(second.log)
            assert await first.stop() == 0


async def test_a_state_that_cannot_be_written_is_told_and_alerts_are_delivered_from_memory(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    async with ScriptedProvider() as provider:
        async with DaemonProcess(tmp_path, config(provider, AGAIN)) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0, 201.0)
            await eventually(lambda: len(delivered(tmp_path)) == 1)
            answer = await daemon.get("/readyz?verbose", status=503)
            assert "[-]state failed" in answer
            await daemon.said("not known which alerts have fired")
            explained = (await daemon.get("/api/v1/alerts/again/explain"))["explanations"][0]["sentences"]
            assert any(line.endswith("delivered from memory. Delivered to book.") for line in explained), explained
            assert "What was delivered before is not known: " in explained[-1]
            ran = await command(tmp_path, "status", "--url", str(daemon.url))
            assert ran.code == 69
            assert ran.out.splitlines()[1].startswith(f"not ready: state failed: {tmp_path / 'state.db'}: ")
            (tmp_path / "state.db").rmdir()
            await tick(provider, daemon, 150.0, 202.0)
            await eventually(lambda: len(delivered(tmp_path)) == 2)
            await daemon.until("/readyz?verbose", lambda text: "[+]state ok" in text)
            assert await daemon.stop() == 0
        assert lines(tmp_path) == 2


async def test_a_disk_that_does_not_answer_holds_up_an_alert_for_a_moment_and_repeats_nothing(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        async with DaemonProcess(tmp_path, config(provider, AGAIN)) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0)
            await saved(tmp_path, "again", "armed")
            with sqlite3.connect(tmp_path / "state.db", isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                await tick(provider, daemon, 201.0)
                await eventually(lambda: len(delivered(tmp_path)) == 1)
                explained = (await daemon.get("/api/v1/alerts/again/explain"))["explanations"][0]["sentences"]
                assert any(line.endswith("delivered from memory. Delivered to book.") for line in explained), explained
                other.execute("ROLLBACK")
            await saved(tmp_path, "again", "fired")
            await tick(provider, daemon, 150.0, 202.0)
            await eventually(lambda: len(delivered(tmp_path)) == 2)
            assert await daemon.stop() == 0
        with sqlite3.connect(tmp_path / "state.db") as database:
            assert database.execute("SELECT count(*) FROM events").fetchone() == (2,)
            assert database.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
        async with DaemonProcess(tmp_path, config(provider, AGAIN)) as daemon:
            await subscribed(provider, 2)
            assert await daemon.stop() == 0
        assert lines(tmp_path) == len(delivered(tmp_path)) == 2


async def test_an_alert_that_cannot_see_tells_the_sinks_that_it_names(tmp_path: Path) -> None:
    alerts = "  - {name: watched, symbol: AAPL, above: 200, on_blind: notify, notify: [book]}"
    async with ScriptedProvider() as provider:
        text = config(provider, alerts).replace(
            "market_hours: always", "market_hours: always\n    stale_after: {symbol: 300ms, connection: null}"
        )
        async with DaemonProcess(tmp_path, text.replace("[price.alert]", '["*"]')) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0)
            await eventually(lambda: [e["event"] for e in delivered(tmp_path)].count("alert.blind") == 1)
            await tick(provider, daemon, 199.5)
            await eventually(lambda: [e["event"] for e in delivered(tmp_path)].count("alert.sighted") == 1)
            assert await daemon.stop() == 0
        blind = next(event for event in delivered(tmp_path) if event["event"] == "alert.blind")
        assert (blind["alert_id"], blind["symbol"], blind["reason"]) == ("watched", "AAPL", "stale")


async def test_a_state_that_can_be_read_only_later_is_not_written_over_and_counts_from_then_on(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, ONCE)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0, 201.0)
            await eventually(lambda: len(delivered(tmp_path)) == 1)
            await post(daemon, tmp_path, {"name": "stop", "symbol": "AAPL", "below": 150})
            assert await daemon.stop() == 0
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            async with DaemonProcess(tmp_path, text) as daemon:
                await subscribed(provider, 2)
                answer = await daemon.get("/readyz?verbose", status=503)
                assert "[-]state failed" in answer
                other.execute("ROLLBACK")
                other.close()
                await daemon.until("/readyz?verbose", lambda text: "[+]state ok" in text)
                await tick(provider, daemon, 199.0, 202.0, 149.0)
                await eventually(lambda: len(delivered(tmp_path)) == 2)
                assert await daemon.stop() == 0
        assert [event["alert_id"] for event in delivered(tmp_path)] == ["once", "stop"]


async def test_an_alert_that_is_taken_out_and_put_back_is_delivered_again(tmp_path: Path) -> None:
    """The provider sends its last price again after each connect, with the same time."""
    async with ScriptedProvider() as provider:
        for connections, alerts in ((1, AGAIN), (2, "  []"), (3, AGAIN)):
            async with DaemonProcess(tmp_path, config(provider, alerts)) as daemon:
                await subscribed(provider, connections)
                await tick(provider, daemon, 201.0)
                await eventually(lambda: len(delivered(tmp_path)) == (connections + 1) // 2)  # noqa: B023 - called here
                assert await daemon.stop() == 0
        assert lines(tmp_path) == 2


def off_for(folder: Path, seconds: float) -> None:
    """As if the daemon had ended so long ago."""
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("UPDATE prices SET timestamp = timestamp - ?1, received_at = received_at - ?1", (seconds,))
        ((text,),) = database.execute("SELECT record FROM alert_states").fetchall()
        record = json.loads(text)
        for condition in record["conditions"]:
            condition |= {name: condition[name] - seconds for name in ("armed_at", "begun_at", "holds_since")}
        database.execute("UPDATE alert_states SET record = ?", (json.dumps(record),))


async def test_time_in_which_the_daemon_was_off_does_not_count_for_what_has_to_hold(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, "  - {name: held, symbol: AAPL, above: 200, for: 30m}")
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 201.0)
            await saved(tmp_path, "held", "holding")
            assert await daemon.stop() == 0
        off_for(tmp_path, 3600.0)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 2)
            await tick(provider, daemon, 202.0)
            assert (await daemon.get("/api/v1/stats"))["alerts_triggered"] == 0
            assert await daemon.stop() == 0
        assert phase(tmp_path, "held") == "holding"


async def test_a_kill_right_after_an_alert_was_armed_again_loses_no_crossing(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, AGAIN)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 201.0)
            await eventually(lambda: len(delivered(tmp_path)) == 1)
            await tick(provider, daemon, 150.0)
            # Well before what has time is saved.
            await eventually(lambda: phase(tmp_path, "again") == "armed", 0.5)
            await kill(daemon)
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 2)
            await tick(provider, daemon, 260.0)
            await eventually(lambda: len(delivered(tmp_path)) == 2)
            assert await daemon.stop() == 0


BLIND = "  - {name: watched, symbol: AAPL, above: 200, on_blind: notify}"


async def blinded(daemon: DaemonProcess, folder: Path, reason: str) -> None:
    """Wait until the sink has heard that the alert is blind for this reason."""
    await eventually(lambda: reason in [event["reason"] for event in delivered(folder)], 10)
    (alert,) = (await daemon.get("/api/v1/alerts"))["alerts"]
    assert alert["state"] == {"AAPL": "blind"}


async def test_an_alert_whose_feed_is_down_is_blind_until_it_is_back(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        text = config(provider, BLIND).replace("market_hours:", "stale_after: {connection: 300ms}\n    market_hours:")
        text += "\nerrors: {action: none}\n"
        async with DaemonProcess(tmp_path, text) as daemon:
            await subscribed(provider, 1)
            await tick(provider, daemon, 199.0)
            provider.answer = Answer(503)
            provider.last.reset()
            await blinded(daemon, tmp_path, "feed_down")
            provider.answer = None
            await subscribed(provider, 2)
            await tick(provider, daemon, 199.5)
            await eventually(lambda: "alert.sighted" in [event["event"] for event in delivered(tmp_path)])
            assert await daemon.stop() == 0


async def refuse(conversation: Conversation) -> None:
    async for message in conversation.messages():
        if message.get("action") == "subscribe":
            await conversation.acknowledge(message, fails=[{"symbol": "AAPL"}])


async def test_an_alert_on_a_symbol_that_the_provider_refuses_is_blind_and_says_why(tmp_path: Path) -> None:
    async with ScriptedProvider(refuse) as provider, DaemonProcess(tmp_path, config(provider, BLIND)) as daemon:
        await blinded(daemon, tmp_path, "refused")
        told = await daemon.get("/api/v1/alerts/watched/explain")
        assert "the provider has refused this symbol" in json.dumps(told)
        assert await daemon.stop() == 0
