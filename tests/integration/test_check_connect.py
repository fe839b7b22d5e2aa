"""`check --connect` tells in plain words what each provider and each sink said, and leaves nothing running."""

import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.daemon.trial.probe import probe
from pricestreamd.model.secret import Secret
from pricestreamd.simulator.server import Simulator
from pricestreamd.sinks.settings import FileSinkSettings, NotifySinkSettings, SqliteSinkSettings, WebhookSinkSettings
from tests.faults.feeds import Authority
from tests.support.command import Command, Ran, run
from tests.support.provider import Answer, Conversation, ScriptedProvider
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

CANARY = "canary-2e8c60f1b9"


async def prices(conversation: Conversation) -> None:
    """Acknowledge, and tell a price at once."""
    async for message in conversation.messages():
        if message.get("action") == "subscribe":
            await conversation.acknowledge(message)
            await conversation.price("AAPL", 190.5)


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider(prices) as made:
        yield made


def feed(endpoint: str, more: str = "", *, key: str = "${K}", symbols: str = "AAPL, BTC/USD") -> str:
    return f"{{provider: twelvedata, endpoint: '{endpoint}', api_key: '{key}', symbols: [{symbols}]{more}}}"


async def check(folder: Path, *feeds: str, more: str = "", json_too: bool = False, **environ: str) -> Ran:
    """The answer for feeds `us`, `us2`, ...; no key is in it."""
    path = folder / "c.yaml"
    lines = "".join(f"  us{n or ''}: {text}\n" for n, text in enumerate(feeds))
    path.write_text(f"feeds:\n{lines}{more}")
    arguments = ["--json"] if json_too else []
    ran = await run(folder, "check", path, "--connect", *arguments, environ={"K": CANARY, **environ})
    assert CANARY not in ran.said
    return ran


def told(ran: Ran) -> list[str]:
    """What was told after the plan, but for the sink that is always there."""
    plan, _, findings = ran.out.partition("\n\nfeed us: ")[2].partition("\n\n")
    assert plan, ran.said
    return [line for line in findings.splitlines() if not line.startswith("sink log: log opened and closed in 0 ms")]


def only_error(ran: Ran) -> str:
    """The one line about a feed that could not be connected."""
    assert ran.code == 69, ran.said
    (line,) = told(ran)
    assert line.startswith("feed us: not connected: "), line
    return line.removeprefix("feed us: not connected: ")


# --- what goes well


async def test_a_feed_that_is_well_is_told_from_host_to_first_price(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        ran = await check(tmp_path, feed(simulator.url))
        assert simulator.connects == 1
        port = simulator.port
        await eventually(lambda: not simulator.connections)
    assert (ran.code, ran.err) == (0, "")
    title, accepted, price, *rest = told(ran)
    assert title.startswith(f"feed us: connected to 127.0.0.1:{port} without TLS in ")
    assert title.endswith(" ms")
    assert accepted == "  accepted 2 of 2 symbols"
    assert price.startswith("  first price after ")
    assert rest == ["  disconnected"]


async def test_it_says_goodbye(tmp_path: Path, provider: ScriptedProvider) -> None:
    assert (await check(tmp_path, feed(provider.url))).code == 0
    await eventually(lambda: provider.last.closed)
    assert provider.last.close_code == 1000
    assert provider.last.subscribed == set()
    assert len(provider.last.actions("subscribe")) == 1


async def test_the_same_as_json(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50, scenario="reject-some") as simulator:
        ran = await check(tmp_path, feed(simulator.url, symbols="AAPL, MSFT, IBM"), json_too=True)
        port = simulator.port
    assert (ran.code, ran.err) == (69, "")
    answer: dict[str, Any] = json.loads(ran.out)
    assert answer["feeds"]["us"]["provider"] == "twelvedata", "the plan is there, too"
    found = answer["connect"]["feeds"]["us"]
    assert (answer["connect"]["ok"], found["ok"], found["tls"]) == (False, False, False)
    assert found["places"] == [f"127.0.0.1:{port}"]
    assert found["milliseconds"] > 0
    assert found["accepted"] == ["AAPL", "MSFT"]
    assert list(found["refused"]) == ["IBM"]
    assert found["price"]["symbol"] in found["accepted"]
    assert (found["error"], found["unanswered"], found["unplaced"]) == (None, [], {})
    assert answer["connect"]["sinks"]["log"]["ok"] is True


async def test_symbols_of_a_watchlist_are_subscribed_too(tmp_path: Path, provider: ScriptedProvider) -> None:
    (tmp_path / "list.txt").write_text("IBM\nNVDA\n")
    settings = ", watchlist: {file: list.txt}"
    ran = await check(tmp_path, feed(provider.url, settings))
    assert ran.code == 0
    assert "  accepted 4 of 4 symbols" in told(ran)
    assert "  its watchlist names 2 symbols" in told(ran)
    ran = await check(tmp_path, feed(provider.url, settings.replace("list.txt", "nowhere.txt")))
    assert "  accepted 2 of 2 symbols" in told(ran)
    assert any("its watchlist could not be read: " in line and "nowhere.txt" in line for line in told(ran))


async def test_tls_is_named_and_a_private_authority_is_believed_where_it_is_configured(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with ScriptedProvider(prices, tls=authority.server("localhost")) as provider:
        ran = await check(tmp_path, feed(provider.url, f", tls: {{ca_file: {authority.file}}}"))
        assert ran.code == 0
        assert told(ran)[0].startswith(f"feed us: connected to localhost:{provider.port} with TLS in ")
        error = only_error(await check(tmp_path, feed(provider.url)))
    assert error.startswith(f"the certificate of localhost:{provider.port} is refused: ")
    assert "if its authority is your own, name that in tls.ca_file" in error


# --- prices that do not come


async def test_silence_of_a_closed_market_is_normal_and_told_with_its_opening(tmp_path: Path) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
    hours = f", market_hours: {{timezone: UTC, days: {day}, open: '12:00', close: '13:00'}}"
    async with ScriptedProvider() as provider:
        ran = await check(tmp_path, feed(provider.url, hours))
    assert ran.code == 0
    (line,) = [line for line in told(ran) if "price" in line]
    assert line.startswith(f"  no price, which is normal: the market is closed ({day} 12:00-13:00 UTC) until ")
    assert line.endswith(" 12:00 UTC")


async def test_silence_of_an_open_market_is_told_and_no_fault(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        ran = await check(tmp_path, feed(provider.url, ", market_hours: always"))
    assert ran.code == 0
    assert "  no price within 5 s: quiet symbols may take longer" in told(ran)


# --- what a provider refuses


async def test_symbols_that_are_refused_are_named_with_the_reason(tmp_path: Path) -> None:
    async def refuses(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message.get("action") == "subscribe":
                await conversation.acknowledge(message, fails=[{"symbol": "BTC/USD", "message": "not in your plan"}])
                await conversation.price("AAPL", 1)

    async with ScriptedProvider(refuses) as provider:
        ran = await check(tmp_path, feed(provider.url))
    assert ran.code == 69
    assert told(ran)[1:3] == ["  accepted 1 of 2 symbols", "  refused BTC/USD: not in your plan"]


@pytest.mark.parametrize("scenario", ["bad-key", "forbidden", "bad-key-in-band"])
async def test_a_refused_key_is_one_sentence_with_what_to_do(tmp_path: Path, scenario: str) -> None:
    async with Simulator("twelvedata", scenario=scenario) as simulator:
        ran = await check(tmp_path, feed(simulator.url))
    assert ran.code == 69
    (line,) = [line for line in told(ran) if "api_key" in line]
    assert line.endswith(": check the feed's api_key, and that its plan covers streaming")


async def test_a_key_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="bad-key") as simulator:
        error = only_error(await check(tmp_path, feed(simulator.url, key="")))
    assert error.endswith(": set api_key or api_key_file")


async def test_a_complaint_that_echoes_the_key_is_told_without_it(tmp_path: Path) -> None:
    async def complains(conversation: Conversation) -> None:
        await conversation.send({"status": "error", "message": f"\x1b[2Jtoo many requests with {CANARY}"})
        await prices(conversation)

    async with ScriptedProvider(complains) as provider:
        ran = await check(tmp_path, feed(f"{provider.url}?apikey={CANARY}"))
    assert any("too many requests with ***" in line for line in told(ran))
    assert "\x1b" not in ran.said


async def test_an_unanswered_subscription_is_told_after_its_time(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="no-ack") as simulator:
        ran = await check(tmp_path, feed(simulator.url, ", subscribe_timeout: 1s"))
    assert ran.code == 69
    assert "  no answer yet about AAPL, BTC/USD" in told(ran)
    assert told(ran)[-1].startswith("  then it ended: ")
    assert "check the spelling of the symbols" in told(ran)[-1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(301, {"Location": f"https://www.example.org/?k={CANARY}"}), "a redirect to www.example.org; that is not followed"),
        (Answer(404), "HTTP 404: check `endpoint`"),
        (Answer(429, {"Retry-After": "30"}), "too many connections or requests with this key: wait for 30 s, then try again"),
        (Answer(503), "the provider is in trouble: try again later"),
        (Answer(200, body=f"<html>{CANARY}"), "HTTP 200: check `endpoint`"),
    ],
    ids=["redirect", "not found", "too many", "unavailable", "a page"],
)  # fmt: skip
async def test_an_upgrade_that_is_refused_is_one_sentence_with_what_to_do(
    tmp_path: Path, provider: ScriptedProvider, answer: Answer, words: str
) -> None:
    provider.answer = answer
    assert words in only_error(await check(tmp_path, feed(provider.url)))
    assert len(provider.requests) == 1


# --- what the network refuses


async def test_a_name_without_an_address_is_told(tmp_path: Path) -> None:
    error = only_error(await check(tmp_path, feed("wss://no-such-host.invalid/v1")))
    assert error.startswith("no address for no-such-host.invalid: ")
    assert error.endswith(": check the spelling of `endpoint`, and this machine's name server")


async def test_a_refused_connection_is_told(tmp_path: Path) -> None:
    error = only_error(await check(tmp_path, feed("ws://127.0.0.1:1/")))
    assert error.startswith("no connection to 127.0.0.1:1: ")
    assert error.endswith(": check host and port in `endpoint`, and that the server is up")


async def test_a_proxy_that_is_not_there_is_told(tmp_path: Path, provider: ScriptedProvider) -> None:
    error = only_error(await check(tmp_path, feed(provider.url, f", proxy: 'http://me:{CANARY}@127.0.0.1:1'")))
    assert "the proxy 127.0.0.1:1" in error
    assert error.endswith(": check `proxy`, and that it lets this host through")


@pytest.fixture
def silent() -> Any:
    """An address that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"


async def test_servers_that_say_nothing_are_given_up_in_time_all_at_once(tmp_path: Path, silent: str) -> None:
    since = time.monotonic()
    settings = ", connect_timeout: 2s"
    feeds = (feed(silent, settings, key=f"key-{n}", symbols=f"S{n}") for n in range(4))
    ran = await check(tmp_path, *feeds)
    assert time.monotonic() - since < 5
    assert ran.code == 69
    assert len([line for line in told(ran) if ": no answer from 127.0.0.1:" in line and " in time: " in line]) == 4
    assert all("whether a firewall or a proxy is in the way" in line for line in told(ran))


async def test_a_name_server_that_never_answers_holds_nobody(tmp_path: Path) -> None:
    # Read by Python at its start: name resolution hangs, as with a name server behind a black hole.
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *args, **more: time.sleep(60)\n"
    )
    since = time.monotonic()
    ran = await check(tmp_path, feed("wss://example.invalid/", ", connect_timeout: 1s"), PYTHONPATH=str(tmp_path))
    assert time.monotonic() - since < 5
    assert "no connection to example.invalid:443 in time" in only_error(ran)


async def test_ctrl_c_ends_it_at_once(tmp_path: Path, silent: str) -> None:
    (tmp_path / "c.yaml").write_text(f"feeds: {{us: {feed(silent)}}}\n")
    async with Command(tmp_path, "check", "c.yaml", "--connect", environ={"K": CANARY}) as command:
        with pytest.raises(TimeoutError):
            await command.ended(2)
        since = time.monotonic()
        command.send(signal.SIGINT)
        ran = await command.ended()
        assert time.monotonic() - since < 1
    assert ran.code == 130
    assert "Traceback" not in ran.said


# --- keys with a limit on connections


async def test_feeds_that_share_a_key_take_turns_so_that_none_throws_out_another(tmp_path: Path) -> None:
    most, conversations = 0, list[Conversation]()

    async def counts(conversation: Conversation) -> None:
        nonlocal most
        most = max(most, sum(not other.closed for other in conversations))
        await conversation.serve()

    async with ScriptedProvider(counts) as provider:
        conversations = provider.conversations
        hours = ", market_hours: {timezone: UTC, days: %s, open: '12:00', close: '12:01'}"
        closed = hours % (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
        ran = await check(tmp_path, feed(provider.url, closed), feed(provider.url, closed, symbols="IBM"))
        assert (ran.code, len(conversations), most) == (0, 2, 1)


async def test_symbols_are_spread_over_connections_and_what_does_not_fit_is_named(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    settings = ", max_symbols_per_connection: 1, max_connections: 2"
    ran = await check(tmp_path, feed(provider.url, settings, symbols="AAPL, MSFT, IBM"))
    assert ran.code == 0
    title, accepted, unplaced, *_ = told(ran)
    assert " over 2 connections in " in title
    assert accepted == "  accepted 2 of 2 symbols"
    assert unplaced.startswith("  no place for IBM: ")
    assert [talk.subscribed for talk in provider.conversations] == [set(), set()]
    assert {talk.actions("subscribe")[0]["params"]["symbols"] for talk in provider.conversations} == {"AAPL", "MSFT"}


# --- sinks


async def test_a_sink_that_does_not_answer_is_told_after_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes the connection, and has nothing to say to TLS.
        url = Secret(f"https://127.0.0.1:{silent.getsockname()[1]}/")
        since = time.monotonic()
        hook = WebhookSinkSettings(url=url, allow_private=True)
        findings = await probe({}, {"hook": hook}, sink_seconds=0.2)
        assert time.monotonic() - since < 2
    (sink,) = findings.sinks
    assert (sink.ok, sink.error) == (False, "no answer within 0.2 s: is it there, and reachable from here?")


async def test_a_pipe_that_nobody_reads_is_told_of(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    findings = await probe({}, {"events": FileSinkSettings(path=tmp_path / "fifo")})
    assert "nobody reads this pipe" in str(findings.sinks[0].error)


async def test_each_sink_is_opened_and_closed_and_nothing_delivered(tmp_path: Path, provider: ScriptedProvider) -> None:
    (tmp_path / "plain").write_text("in the way")
    sinks = (
        "sinks:\n"
        "  events: {type: file, path: events.jsonl}\n"
        "  ticks: {type: sqlite, path: ticks.db}\n"
        "  wrong: {type: file, path: ../plain/events.jsonl}\n"
        "  words: {type: log}\n"
    )
    ran = await check(tmp_path, feed(provider.url, symbols=""), more=sinks)
    assert ran.code == 69
    lines = [line for line in ran.out.splitlines() if line.startswith("sink ") and " gets " not in line]
    assert [line.split(" in ")[0] for line in lines if "wrong" not in line] == [
        "sink events: file can be written",
        "sink ticks: sqlite can be written",
        "sink words: log opened and closed",
    ]
    (wrong,) = [line for line in lines if "wrong" in line]
    assert wrong.startswith("sink wrong: file cannot be used: ")
    assert "/plain/events.jsonl: " in wrong
    # Nothing is made, not even the folder.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "plain"]


async def test_a_webhook_is_connected_to_without_a_request_and_a_name_that_leads_nowhere_is_told() -> None:
    async with Receiver() as receiver:
        hook = WebhookSinkSettings(url=Secret(receiver.url), allow_private=True)
        lost = WebhookSinkSettings(url=Secret("http://no-such-name.invalid/hook"))
        found, missed = (await probe({}, {"hook": hook, "lost": lost})).sinks
        assert (found.ok, found.asked, receiver.requests) == (True, True, [])
    assert (missed.ok, missed.asked) == (False, False)
    assert str(missed.error).startswith("no-such-name.invalid: its name has no address: ")


async def test_people_are_told_nothing_and_that_is_said() -> None:
    settings = NotifySinkSettings(urls=(Secret("json://127.0.0.1:1/"),))
    (found,) = (await probe({}, {"phone": settings})).sinks
    assert (found.ok, found.asked) == (True, False)
    assert found.notes == ["no message was sent: where it runs, pricestreamd sinks test sends one"]


async def test_a_database_of_somebody_else_is_told_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ticks.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE prices (x)")
    before = path.read_bytes()

    findings = await probe({}, {"ticks": SqliteSinkSettings(path=path)})

    assert "a table prices that is not ours" in str(findings.sinks[0].error)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["ticks.db"]


# --- before anything is tried


async def test_a_wrong_configuration_is_not_tried(tmp_path: Path, provider: ScriptedProvider) -> None:
    ran = await check(tmp_path, feed(provider.url), more="strem: {}\n")
    assert (ran.code, ran.out) == (78, "")
    assert provider.requests == []


async def test_without_connect_nothing_is_tried(tmp_path: Path, provider: ScriptedProvider) -> None:
    (tmp_path / "c.yaml").write_text(f"feeds: {{us: {feed(provider.url)}}}\nsinks: {{f: {{type: file, path: f}}}}\n")
    assert (await run(tmp_path, "check", "c.yaml", environ={"K": CANARY})).code == 0
    assert provider.requests == []
    assert not (tmp_path / "state").exists()
