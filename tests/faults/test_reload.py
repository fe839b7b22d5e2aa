"""Reload: rows L4 and L5 on the process itself. What is wrong changes nothing; what changed touches nothing else."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess
from tests.support.provider import ScriptedProvider
from tests.support.raw_http import RawHttp, holding
from tests.support.service_manager import ManagerSocket
from tests.support.waiting import eventually


def feed(name: str, url: str, symbols: str, key: str = "${KEY}", more: str = "") -> str:
    return f"""  {name}:
    provider: twelvedata
    {"api_key_file" if "/" in key else "api_key"}: {key}
    endpoint: {url}
    symbols: [{symbols}]
    market_hours: always
    reconnect: {{initial_delay: 50ms, max_delay: 200ms, jitter: 0}}
{more}"""


def config(*feeds: str, more: str = "") -> str:
    return f"feeds:\n{''.join(feeds)}http: {{listen: '127.0.0.1:0'}}\nlogging: {{format: json}}\n{more}"


async def told(daemon: DaemonProcess, path: str) -> bytes:
    """The answer as it goes over the wire."""
    async with aiohttp.ClientSession() as session, session.get(f"{daemon.url}{path}") as response:
        assert response.status == 200
        return await response.read()


async def ask_to_reload(daemon: DaemonProcess) -> tuple[int, Any]:
    """`POST /-/reload` with the token that the daemon has made."""
    token = (daemon.folder / "http-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.post(f"{daemon.url}/-/reload") as response:
        return response.status, await response.json()


def refusals(daemon: DaemonProcess) -> list[str]:
    """What the log says of a refused reload."""
    return [record["message"] for record in daemon.records if record["message"].startswith("reload refused: ")]


def refused_for(daemon: DaemonProcess, words: str) -> bool:
    """Whether a reload was refused, and for that."""
    return any(words in refusal for refusal in refusals(daemon))


def sockets(*simulators: Simulator) -> list[object]:
    """The connections that are open now; the same ones are the same objects."""
    return [connection for simulator in simulators for connection in simulator.connections]


async def moves_on(daemon: DaemonProcess, name: str, count: int = 20) -> None:
    """Prices of a symbol go on coming."""
    before = (await daemon.get("/api/v1/prices"))[name]["timestamp"]
    await daemon.until("/api/v1/prices", lambda prices: prices[name]["timestamp"] > before)
    updates = (await daemon.get("/api/v1/stats"))["updates_received"]
    await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > updates + count)


ALERTS = "alerts:\n  - {name: a, symbol: AAPL, above: 1}\nsinks: {all: {type: file, path: events.jsonl}}\n"

# What cannot be read, in every part of the file and of every sort, and a word of what is said of each.
WRONG = """feeds:
  us:
    provider: twelvedata
    api_key_file: /nowhere/key
    endpoint: {url}
    symbols: [TSLA]
    reconnect: {{max_delay: soon}}
    api_kee: x
alerts:
  - {{symbol: TSLA, abov: 3}}
  - {{name: a, symbol: TSLA, above: "${{NOT_SET_ANYWHERE}}"}}
sinks:
  all: {{type: file, path: other.jsonl}}
  hook: {{type: webhook, url: "https://example.org", secret: whsec_tooshort}}
http: {{listen: "127.0.0.1:0", auth_token: [x]}}
logging: {{level: loud}}
"""
PLACES = {
    4: "cannot read /nowhere/key",
    7: "expected a duration",
    8: "did you mean 'api_key'",
    10: "did you mean 'above'",
    11: "the environment has no NOT_SET_ANYWHERE",
    14: "sinks.hook.secret",
    15: "http.auth_token",
    16: "logging.level",
}


async def test_L4_a_file_with_errors_leaves_every_byte_of_the_old_configuration(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator, ManagerSocket(tmp_path) as manager:
        good = config(feed("us", simulator.url, "AAPL, MSFT"), more=ALERTS)
        async with DaemonProcess(tmp_path, good, KEY="any-key", **manager.environ) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 1)
            before = [await told(daemon, path) for path in ("/api/v1/config", "/api/v1/symbols")]
            held = sockets(simulator)
            heard = len(manager.told)
            daemon.config.write_text(WRONG.format(url=simulator.url))
            daemon.send(signal.SIGHUP)
            await eventually(lambda: manager.heard("READY=1") == 2)
            # All errors at once, each with its place.
            await eventually(lambda: len(refusals(daemon)) >= len(PLACES), 5, "\n".join(refusals(daemon)))
            refused = refusals(daemon)
            for line, words in PLACES.items():
                assert any(f"{daemon.config}:{line}:" in message and words in message for message in refused), words
            assert len(refused) == len(PLACES), refused
            # The manager hears of it, and that we are ready again.
            reloading, *_, ready = (told.split("\n")[0] for told in manager.told[heard:] if "WATCHDOG" not in told)
            assert (reloading, ready) == ("RELOADING=1", "READY=1")
            assert "reload refused: the old configuration stays" in manager.told[-1] + "".join(manager.statuses)
            await daemon.until("/metrics", lambda scrape: "config_last_reload_successful 0" in scrape)
            # Asked over HTTP it says the same, with the same places.
            status, problem = await ask_to_reload(daemon)
            assert status == 422
            assert len(problem["errors"]) == len(PLACES)
            # Nothing has changed: not a byte of the configuration, not a socket, not an alert, not a sink.
            assert [await told(daemon, path) for path in ("/api/v1/config", "/api/v1/symbols")] == before
            assert sockets(simulator) == held
            assert simulator.subscribed == ("AAPL", "MSFT")
            await moves_on(daemon, "AAPL")
            assert not (tmp_path / "other.jsonl").exists()
            # And what is mended counts.
            daemon.config.write_text(good.replace("above: 1", "above: 2"))
            daemon.send(signal.SIGHUP)
            await eventually(lambda: manager.heard("READY=1") == 4)
            await daemon.until("/metrics", lambda scrape: "config_last_reload_successful 1" in scrape)
            after = json.loads(await told(daemon, "/api/v1/config"))
            assert after["alerts"][0]["above"] == 2
            after["alerts"][0]["above"] = 1
            assert after == json.loads(before[0])
            assert sockets(simulator) == held
            assert await daemon.stop() == 0
        assert simulator.connects == 1


async def test_L4_what_only_shows_when_the_parts_are_made_changes_nothing_either(tmp_path: Path) -> None:
    wrong = (
        (ALERTS + "listeners: [{event: '*', call: 'no.such.module:function'}]\n", "no.such.module"),
        (ALERTS.replace("sinks: {", "sinks: {mine: {type: call, call: 'json:nothing'}, "), "json:nothing"),
        (ALERTS + "state: {path: elsewhere.db}\n", "state.path: cannot change while running"),
        ("alerts: [\n", "a bracket is not closed"),
    )
    async with Simulator("twelvedata", rate=200) as simulator:
        good = config(feed("us", simulator.url, "AAPL"), more=ALERTS)
        async with DaemonProcess(tmp_path, good, KEY="any-key") as daemon:
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            before, held = await told(daemon, "/api/v1/config"), sockets(simulator)
            changed = [(config(feed("us", simulator.url, "TSLA"), more=more), words) for more, words in wrong]
            moved = config(feed("us", simulator.url, "TSLA"), more=ALERTS).replace("127.0.0.1:0", "127.0.0.1:1")
            for text, words in [*changed, (moved, "http.listen: cannot change while running")]:
                daemon.config.write_text(text)
                daemon.send(signal.SIGHUP)
                await eventually(functools.partial(refused_for, daemon, words), 10, words)
                assert await told(daemon, "/api/v1/config") == before
            await moves_on(daemon, "AAPL")
            assert sockets(simulator) == held
            assert await daemon.stop() == 0


async def test_L5_symbols_and_alerts_of_one_feed_come_and_go_and_no_socket_changes(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as one, Simulator("twelvedata", rate=200) as two:

        def text(symbols: str, alerts: Sequence[str], more: str = "") -> str:
            listed = "".join(f"  - {{name: on-{name}, symbol: {name}, above: 1}}\n" for name in alerts)
            rest = f"alerts:\n{listed}{more}"
            return config(feed("one", one.url, symbols), feed("two", two.url, "MSFT"), more=rest)

        async with DaemonProcess(tmp_path, text("AAPL", ["AAPL", "MSFT"]), KEY="any-key") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 2)
            held = sockets(one, two)
            daemon.config.write_text(text("TSLA, NVDA", ["MSFT", "TSLA"], "stream: {spike: {percent: 9}}\n"))
            daemon.send(signal.SIGHUP)
            await eventually(lambda: set(one.subscribed) == {"TSLA", "NVDA"})
            # The one that stayed has fired already, and does not fire again; the new one does.
            await daemon.until("/api/v1/stats", lambda stats: stats["alerts_triggered"] == 3)
            await moves_on(daemon, "MSFT")
            alerts = (await daemon.get("/api/v1/alerts"))["alerts"]
            assert [alert["alert_id"] for alert in alerts] == ["on-MSFT", "on-TSLA"]
            # Of what nobody wants any more the last price is gone.
            await daemon.until("/api/v1/prices", lambda prices: set(prices) == {"MSFT", "NVDA", "TSLA"})
            assert (await daemon.get("/api/v1/config"))["stream"]["spike"]["percent"] == 9
            await daemon.until("/metrics", lambda scrape: "config_last_reload_successful 1" in scrape)
            assert sockets(one, two) == held
            assert await daemon.stop() == 0
        assert (one.connects, two.connects) == (1, 1)


async def test_L5_a_symbol_that_moves_to_another_feed_keeps_its_prices(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=100) as one, Simulator("twelvedata", rate=100) as two:

        def text(first: str, second: str) -> str:
            return config(feed("one", one.url, first), feed("two", two.url, second))

        async with DaemonProcess(tmp_path, text("AAPL, TSLA", "MSFT"), KEY="any-key") as daemon:
            await daemon.until("/api/v1/prices", lambda prices: len(prices) == 3)
            daemon.config.write_text(text("MSFT, TSLA", "AAPL"))
            daemon.send(signal.SIGHUP)
            await daemon.until("/api/v1/prices", lambda prices: prices["AAPL"]["feed"] == "two")
            prices = await daemon.until("/api/v1/prices", lambda prices: prices["MSFT"]["feed"] == "one")
            assert set(prices) == {"AAPL", "MSFT", "TSLA"}
            symbols = (await daemon.get("/api/v1/symbols"))["symbols"]
            assert {row["symbol"]: row["source"] for row in symbols} == dict.fromkeys(prices, "yaml")
            assert await daemon.stop() == 0
        assert one.connects == two.connects == 1


async def test_L5_a_changed_key_file_counts_from_the_next_dial_and_touches_no_socket(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first-key\n")
    key.chmod(0o600)
    async with ScriptedProvider() as one, Simulator("twelvedata", rate=100) as two:
        text = config(feed("one", one.url, "AAPL", key=str(key)), feed("two", two.url, "MSFT"))
        async with DaemonProcess(tmp_path, text, KEY="any-key") as daemon:
            await eventually(lambda: one.conversations and one.last.subscribed == {"AAPL"})
            await daemon.until("/api/v1/prices", lambda prices: "MSFT" in prices)
            held = sockets(two)
            key.write_text("second-key\n")
            status, report = await ask_to_reload(daemon)
            assert status == 200
            assert "feeds.one.api_key" in report["changed"]
            # The open connection was let in already.
            assert not one.last.closed
            assert len(one.conversations) == 1
            one.last.reset()
            await eventually(lambda: len(one.conversations) == 2 and one.last.subscribed == {"AAPL"})
            assert [talk.headers["X-TD-APIKEY"] for talk in one.conversations] == ["first-key", "second-key"]
            assert sockets(two) == held
            assert await daemon.stop() == 0
    assert not any("first-key" in line or "second-key" in line for line in daemon.log)


async def test_L5_a_refused_feed_is_let_in_at_once_when_its_key_file_is_right(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("wrong-key")
    key.chmod(0o600)
    async with Simulator("twelvedata", api_key="right-key") as strict, Simulator("twelvedata", rate=100) as two:
        text = config(feed("one", strict.url, "AAPL", key=str(key)), feed("two", two.url, "MSFT"))
        async with DaemonProcess(tmp_path, text, KEY="any-key") as daemon:
            await daemon.until("/api/v1/feeds", lambda feeds: feeds["one"]["state"] == "parked")
            await daemon.until("/api/v1/prices", lambda prices: "MSFT" in prices)
            held = sockets(two)
            key.write_text("right-key")
            daemon.send(signal.SIGHUP)
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            assert sockets(two) == held
            assert await daemon.stop() == 0
    assert strict.refused == 1


async def test_L5_a_reload_says_that_the_environment_is_that_of_the_start(tmp_path: Path) -> None:
    """A changed variable, or a credential of systemd, is seen by a new process only."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "twelvedata").write_text("key-of-systemd")
    (credentials / "twelvedata").chmod(0o400)
    async with Simulator("twelvedata", rate=100, api_key="key-of-systemd") as simulator:
        named = feed("us", simulator.url, "AAPL", key="${CREDENTIALS_DIRECTORY}/twelvedata")
        text = config(named, more="deadman: {url: '${NOBODY:-https://example.org}', interval: 1h}\n")
        async with DaemonProcess(tmp_path, text, CREDENTIALS_DIRECTORY=str(credentials)) as daemon:
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            daemon.send(signal.SIGHUP)
            await daemon.said("takes effect at the next start")
            assert await daemon.stop() == 0
    (note,) = (record["message"] for record in daemon.records if "at the next start" in record["message"])
    assert note == (
        "from the environment as it was at the start: CREDENTIALS_DIRECTORY, NOBODY; "
        "a change there, or of a credential, takes effect at the next start"
    )


def events_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def sequences_in(path: Path) -> list[int]:
    """Those of the updates in a file of events."""
    return [event["sequence"] for event in events_in(path) if event["event"] == "price.update"]


async def test_L5_sinks_come_change_and_go_and_the_others_miss_nothing(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=200) as simulator:

        def text(sinks: str) -> str:
            every = "{name: every, symbol: AAPL, above: 1, trigger: every_update}"
            kept = "kept: {type: file, path: kept.jsonl, events: [price.update, price.alert], queue: {size: 100000}}"
            return config(
                feed("us", simulator.url, "AAPL"),
                more=f"alerts: [{every}]\nsinks:\n  {kept}\n{sinks}shutdown_timeout: 5s\n",
            )

        before = "  gone: {type: file, path: gone.jsonl}\n  moved: {type: file, path: moved-1.jsonl}\n"
        after = "  come: {type: file, path: come.jsonl}\n  moved: {type: file, path: moved-2.jsonl}\n"
        async with DaemonProcess(tmp_path, text(before), KEY="any-key") as daemon:
            await eventually(lambda: len(events_in(tmp_path / "gone.jsonl")) > 20)
            held = sockets(simulator)
            daemon.config.write_text(text(after))
            status, report = await ask_to_reload(daemon)
            assert status == 200
            assert {key for key in report["changed"] if key.startswith("sinks")} >= {"sinks.gone", "sinks.come"}
            await eventually(lambda: len(events_in(tmp_path / "come.jsonl")) > 20)
            await eventually(lambda: len(events_in(tmp_path / "moved-2.jsonl")) > 20)
            await moves_on(daemon, "AAPL")
            await daemon.until("/metrics", lambda scrape: 'sink="come"' in scrape)
            assert sockets(simulator) == held
            assert await daemon.stop() == 0
    kept = sequences_in(tmp_path / "kept.jsonl")
    assert kept == list(range(1, len(kept) + 1))
    # The one that went has all that came before the reload, the one that came all after it.
    assert sequences_in(tmp_path / "gone.jsonl") + sequences_in(tmp_path / "come.jsonl") == kept
    # Of the sink that was replaced: what the old one did not get the new one did, alerts each once.
    assert sequences_in(tmp_path / "moved-1.jsonl") + sequences_in(tmp_path / "moved-2.jsonl") == kept
    moved = [*events_in(tmp_path / "moved-1.jsonl"), *events_in(tmp_path / "moved-2.jsonl")]
    firings = [event["firing_id"] for event in moved if event["event"] == "price.alert"]
    assert len(firings) == len(set(firings))
    assert simulator.connects == 1


async def test_L5_a_reload_waits_for_no_sink_that_hangs(tmp_path: Path) -> None:
    """The one that is taken away has an address at which nobody ever answers."""
    async with Simulator("twelvedata", rate=200) as simulator, RawHttp(holding()) as silent:
        hook = f"sinks: {{hook: {{type: webhook, url: 'http://127.0.0.1:{silent.port}', allow_private: true}}}}\n"
        alert = "alerts: [{name: every, symbol: AAPL, above: 1, trigger: every_update}]\nshutdown_timeout: 2s\n"
        text = config(feed("us", simulator.url, "AAPL"), more=hook + alert)
        async with DaemonProcess(tmp_path, text, KEY="any-key") as daemon:
            await eventually(lambda: silent.asked)
            daemon.config.write_text(config(feed("us", simulator.url, "AAPL"), more=alert))
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert (await ask_to_reload(daemon))[0] == 200
            # Far less than the sink's own patience, and than the time that is given to an end.
            assert loop.time() - began < 1.5
            await moves_on(daemon, "AAPL")
            assert await daemon.stop() == 0
