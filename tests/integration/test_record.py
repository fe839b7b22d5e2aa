"""`record` writes every frame that comes, and nothing secret; what it wrote is whole however it ends."""

import asyncio
import json
import os
import pty
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pricestreamd.replay.blocks import LineBlocks
from pricestreamd.replay.readers import read_ticks
from pricestreamd.replay.recording import Frame, Header, frame_of, header_of
from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.support.command import Command, run
from tests.support.provider import Conversation, ScriptedProvider
from tests.support.waiting import eventually

CANARY = "canary-9d3b7a61e4"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of every feed here."""
    monkeypatch.setenv("K", CANARY)


def made_csv(folder: Path, rows: int = 2000) -> Path:
    """Trades at whole seconds, as the simulated provider tells them."""
    path = folder / "trades.csv"
    lines = (f"{1_700_000_000 + n // 9},{'AAPL' if n % 3 else 'BTC/USD'},{100 + n % 17 / 4}\n" for n in range(rows))
    path.write_text("timestamp,symbol,price\n" + "".join(lines))
    return path


def config(folder: Path, *endpoints: str, symbols: str = "AAPL, BTC/USD", more: str = "") -> Path:
    path = folder / "c.yaml"
    feeds = (
        f"  feed{n}: {{provider: twelvedata, endpoint: '{endpoint}', api_key: '${{K}}', symbols: [{symbols}]{more}}}\n"
        for n, endpoint in enumerate(endpoints)
    )
    path.write_text("feeds:\n" + "".join(feeds))
    return path


def lines_of(path: Path) -> list[bytes]:
    """Whole lines, of a file that need not be whole."""
    if not path.exists() or not path.stat().st_size:
        return []
    blocks = LineBlocks(path)
    blocks.whole = False
    return b"".join(blocks).splitlines()


def frames_of(path: Path) -> list[Frame]:
    return [frame_of(line) for line in lines_of(path) if header_of(line) is None]


def headers_of(path: Path) -> list[Header]:
    return [header for line in lines_of(path) if (header := header_of(line)) is not None]


def prices(path: Path) -> list[tuple[str, float, float]]:
    return [(tick.symbol, tick.price, tick.timestamp) for tick in read_ticks([path])]


# --- round trip


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.jsonl.zst"])
async def test_what_is_recorded_is_replayed_as_the_ticks_that_were_sent(tmp_path: Path, name: str) -> None:
    csv, output = made_csv(tmp_path), tmp_path / name
    async with Simulator("twelvedata", source=csv, rate=MAX_RATE) as simulator:
        endpoint = simulator.url
        path = config(tmp_path, endpoint)
        async with Command(tmp_path, "record", "--config", path, "--output", output, "--json") as command:
            await simulator.wait_played()
            await eventually(lambda: len(frames_of(output)) == 2001, 10)
            command.send(signal.SIGTERM)
            ran = await command.ended()
    assert (ran.code, prices(output)) == (0, prices(csv))
    assert b"".join(LineBlocks(output)).endswith(b"}\n"), "whole, with its end"
    (header,) = headers_of(output)
    assert (header.feed, header.provider, header.channel) == ("feed0", "twelvedata", "trades")
    assert (header.symbols, header.endpoint) == (("AAPL", "BTC/USD"), endpoint)
    assert header.version.startswith("pricestreamd ")
    summary = json.loads(ran.out)
    assert (summary["frames"], summary["lost"], summary["output"]) == (2001, 0, str(output))
    assert summary["feeds"] == {"feed0": {"frames": 2001, "bytes": summary["bytes"], "lost": 0}}
    assert summary["output_bytes"] == output.stat().st_size
    assert summary["first"] <= summary["last"] <= time.time()


async def test_the_recorder_is_a_polite_client(tmp_path: Path) -> None:
    async with ScriptedProvider() as provider:
        path = config(tmp_path, provider.url)
        async with Command(tmp_path, "record", "--config", path, "--output", "r.jsonl") as command:
            await eventually(lambda: frames_of(tmp_path / "r.jsonl"), 10)
            command.send(signal.SIGINT)
            ran = await command.ended()
        assert ran.code == 0
        await eventually(lambda: provider.last.closed)
        assert provider.last.close_code == 1000
        assert provider.last.subscribed == set()
        assert provider.last.headers["X-TD-APIKEY"] == CANARY
    assert "feed feed0: connected to 127.0.0.1:" in ran.err


async def test_it_ends_after_its_time(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        since = time.monotonic()
        ran = await run(
            tmp_path,
            "record",
            "--config",
            config(tmp_path, simulator.url),
            "--output",
            "r.jsonl",
            "--duration",
            "1500ms",
        )
        assert 1.5 <= time.monotonic() - since < 6
    assert ran.code == 0
    assert ran.out.splitlines()[0].startswith("frames    ")
    assert len(frames_of(tmp_path / "r.jsonl")) > 20


async def test_a_lost_connection_is_dialled_again_and_the_recording_goes_on(tmp_path: Path) -> None:
    async def drops(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message.get("action") == "subscribe":
                await conversation.acknowledge(message)
                await conversation.price("AAPL", 100 + conversation.number)
                if conversation.number == 0:
                    conversation.drop()

    async with ScriptedProvider(drops) as provider:
        path = config(tmp_path, provider.url, more=", reconnect: {initial_delay: 50ms}")
        async with Command(tmp_path, "record", "--config", path, "--output", "r.jsonl") as command:
            await eventually(lambda: len(provider.conversations) == 2, 10)
            await eventually(lambda: len(frames_of(tmp_path / "r.jsonl")) == 4)
            command.send(signal.SIGTERM)
            ran = await command.ended()
    assert [price for _, price, _ in prices(tmp_path / "r.jsonl")] == [100, 101]
    assert "disconnected (eof)" in ran.err
    assert "dials again in 0." in ran.err


@asynccontextmanager
async def served(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The address of a server that answers every GET by `handle`, without its scheme."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_answers_of_a_provider_that_is_polled_are_frames(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.query["apikey"] == CANARY
        quote = {"01. symbol": request.query["symbol"], "05. price": "133.96", "07. latest trading day": "2019-06-28"}
        return web.json_response({"Global Quote": quote, "note": f"your key is {CANARY}"})

    async with served(answer) as address:
        path = tmp_path / "c.yaml"
        path.write_text(
            f"feeds: {{av: {{provider: alphavantage, endpoint: 'http://{address}/query', api_key: '${{K}}', symbols: [ibm]}}}}\n"
        )
        async with Command(tmp_path, "record", "--config", path, "--output", "r.jsonl") as command:
            await eventually(lambda: frames_of(tmp_path / "r.jsonl"), 15)
            command.send(signal.SIGTERM)
            ran = await command.ended()
    assert ran.code == 0
    assert CANARY not in (tmp_path / "r.jsonl").read_text() + ran.said
    assert ("ibm", 133.96) in [(symbol, price) for symbol, price, _ in prices(tmp_path / "r.jsonl")]


async def test_a_protocol_that_the_configuration_describes_is_in_the_header(tmp_path: Path) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.headers["X-Secret"] == CANARY
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"s": "A", "p": "1.5", "t": 1700000000000}\n\n')
        await asyncio.sleep(60)
        return response

    async with served(stream) as address:
        path = tmp_path / "c.yaml"
        path.write_text(
            f"feeds: {{mine: {{provider: generic, transport: sse, endpoint: 'http://{address}/', symbols: [A], "
            "headers: {X-Secret: '${K}'}, symbol: s, price: p, timestamp: t, time_unit: ms}}\n"
        )
        async with Command(tmp_path, "record", "--config", path, "--output", "r.jsonl") as command:
            await eventually(lambda: frames_of(tmp_path / "r.jsonl"), 15)
            command.send(signal.SIGTERM)
            assert (await command.ended()).code == 0
    (header,) = headers_of(tmp_path / "r.jsonl")
    assert header.description is not None
    assert (header.description.headers, header.description.time_unit) == ({"X-Secret": "***"}, "ms")
    assert prices(tmp_path / "r.jsonl") == [("A", 1.5, 1_700_000_000.0)]


# --- how it ends


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.jsonl.zst"])
async def test_a_recording_whose_recorder_was_killed_is_replayed_up_to_there(tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    async with Simulator("twelvedata", rate=200) as simulator:
        path = config(tmp_path, simulator.url)
        async with Command(tmp_path, "record", "--config", path, "--output", output) as command:
            await eventually(lambda: len(frames_of(output)) > 300, 10)
            command.send(signal.SIGKILL)
            await command.ended()
        sent = simulator.sent.total()
    ran = await run(tmp_path, "replay", output, "--json")
    summary = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert 300 <= summary["ticks"] <= sent
    # What was not flushed is at most a second's worth.
    assert sent - summary["ticks"] < 400
    assert summary["cut_off"] == ([] if name == "r.jsonl" else [str(output)])
    text = await run(tmp_path, "replay", output)
    assert ("ends in the middle" in text.out) is (name != "r.jsonl")


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async def deaf(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message.get("action") == "subscribe":
                await conversation.acknowledge(message)
                # From here on nothing is read, not even a close frame.
                await asyncio.sleep(60)

    output = tmp_path / "r.jsonl.gz"
    async with ScriptedProvider(deaf) as provider:
        path = config(tmp_path, provider.url)
        async with Command(tmp_path, "record", "--config", path, "--output", output) as command:
            await eventually(lambda: frames_of(output), 10)
            command.send(signal.SIGINT)
            with pytest.raises(TimeoutError):
                await command.ended(0.5)
            since = time.monotonic()
            command.send(signal.SIGINT)
            assert (await command.ended()).code == 130
            assert time.monotonic() - since < 0.5
    assert len(frames_of(output)) == 1


@pytest.mark.alone
async def test_frames_that_come_faster_than_the_disk_takes_them_are_counted_and_told_by_the_exit_code(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    received = bytearray()

    def read_all() -> bool:
        while True:
            try:
                piece = os.read(reader, 1 << 20)
            except BlockingIOError:
                return False
            if not piece:
                return bool(received)
            received.extend(piece)

    async with Simulator("twelvedata", rate=MAX_RATE) as simulator:
        path = config(tmp_path, simulator.url)
        async with Command(tmp_path, "record", "--config", path, "--output", fifo, "--json") as command:
            # Nobody reads meanwhile, and a frame takes some 370 of the 64 Mi bytes that may wait.
            await eventually(lambda: simulator.sent.total() > 300_000, 60)
            command.send(signal.SIGTERM)
            await eventually(read_all, 30)
            ran = await command.ended()
    os.close(reader)
    assert ran.code == 75
    summary = json.loads(ran.out)
    assert summary["lost"] > 1000
    assert f"{summary['lost']} frames could not be written: the disk was too slow" in ran.err
    frames = [frame_of(line) for line in bytes(received).splitlines() if header_of(line) is None]
    assert sum(frame.lost for frame in frames) == summary["lost"]
    assert len([frame for frame in frames if not frame.lost]) == summary["frames"] - summary["lost"]


async def test_a_recording_that_goes_to_stdout_has_no_summary_in_it(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        path = config(tmp_path, simulator.url)
        ran = await run(tmp_path, "record", "--config", path, "--output", "/dev/stdout", "--duration", "1s")
    assert ran.code == 0
    header, *frames = ran.out.splitlines()
    assert header_of(header.encode()) is not None
    assert len([frame_of(line.encode()) for line in frames]) > 10
    assert "frames    " in ran.err


async def test_a_full_disk_ends_it_with_one_line(tmp_path: Path) -> None:
    async with Simulator("twelvedata") as simulator:
        ran = await run(tmp_path, "record", "--config", config(tmp_path, simulator.url), "--output", "/dev/full")
    assert Path("/dev/full").exists()
    assert (ran.code, ran.out) == (71, "")
    assert ran.err == (
        "pricestreamd record: cannot write /dev/full: No space left on device; it holds what came before\n"
    )


async def test_when_every_feed_refuses_the_key_it_ends(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="bad-key") as simulator:
        path = config(tmp_path, simulator.url, simulator.url.replace("127.0.0.1", "localhost"), symbols="")
        ran = await run(tmp_path, "record", "--config", path, "--output", "r.jsonl")
    assert ran.code == 69
    assert "feed feed0: auth: " in ran.err
    assert "feed feed1: auth: " in ran.err
    assert "no feed could be reached: nothing was recorded" in ran.err
    assert CANARY not in ran.said


async def test_a_feed_that_is_refused_does_not_end_the_others(tmp_path: Path) -> None:
    async with Simulator("twelvedata", scenario="bad-key") as bad, Simulator("twelvedata", rate=50) as good:
        path = tmp_path / "c.yaml"
        path.write_text(
            "feeds:\n"
            f"  bad: {{provider: twelvedata, endpoint: '{bad.url}', symbols: [MSFT]}}\n"
            f"  good: {{provider: twelvedata, endpoint: '{good.url}', symbols: [AAPL]}}\n"
        )
        ran = await run(tmp_path, "record", "--config", path, "--output", "r.jsonl", "--duration", "2s")
    assert ran.code == 0
    assert "feed bad: auth: " in ran.err
    assert {frame.feed for frame in frames_of(tmp_path / "r.jsonl")} == {"good"}
    assert [header.feed for header in headers_of(tmp_path / "r.jsonl")] == ["bad", "good"]


async def test_when_every_feed_gives_up_it_ends_and_keeps_what_came(tmp_path: Path) -> None:
    async def drops(conversation: Conversation) -> None:
        async for message in conversation.messages():
            if message.get("action") == "subscribe":
                await conversation.price("AAPL", 100)
                conversation.drop()

    async with ScriptedProvider(drops) as provider:
        path = config(tmp_path, provider.url, more=", reconnect: {enabled: false}")
        ran = await run(tmp_path, "record", "--config", path, "--output", "r.jsonl")
    assert ran.code == 69
    assert "feed feed0 gave up: the connection was lost (eof)" in ran.err
    assert prices(tmp_path / "r.jsonl") == [("AAPL", 100.0, 1_700_000_000.0)]


async def test_when_nobody_was_reached_in_all_its_time_it_says_so(tmp_path: Path) -> None:
    ran = await run(
        tmp_path, "record", "--config", config(tmp_path, "ws://127.0.0.1:1/"), "--output", "r", "--duration", "1s"
    )
    assert ran.code == 69
    assert "feed feed0: refused: no connection to 127.0.0.1:1" in ran.err
    assert "no feed could be reached: nothing was recorded" in ran.err


# --- secrets


async def test_a_key_that_a_provider_echoes_is_neither_written_nor_shown(tmp_path: Path) -> None:
    async def echoes(conversation: Conversation) -> None:
        await conversation.send({"event": "price", "note": f"your key is {CANARY}"})
        await conversation.ws.send_bytes(b"\xff\xfe" + CANARY.encode())
        await conversation.send({"status": "error", "code": 500, "message": f"trouble with {CANARY}"})
        await conversation.serve()

    async with ScriptedProvider(echoes) as provider:
        path = config(tmp_path, f"{provider.url}?apikey={CANARY}")
        async with Command(tmp_path, "record", "--config", path, "--output", "r.jsonl") as command:
            await eventually(lambda: len(frames_of(tmp_path / "r.jsonl")) == 4, 10)
            command.send(signal.SIGTERM)
            ran = await command.ended()
    content = (tmp_path / "r.jsonl").read_bytes()
    assert CANARY.encode() not in content
    assert b"your key is ***" in content
    assert frames_of(tmp_path / "r.jsonl")[1].data() == b"\xff\xfe***"
    assert CANARY not in ran.said
    assert "trouble with ***" in ran.err


# --- where to


async def test_what_is_there_is_written_over_only_by_force(tmp_path: Path) -> None:
    output = tmp_path / "r.jsonl"
    output.write_text("of yesterday\n")
    async with Simulator("twelvedata", rate=50) as simulator:
        asked = ("record", "--config", config(tmp_path, simulator.url), "--output", output, "--duration", "1s")
        ran = await run(tmp_path, *asked)
        assert (ran.code, ran.out) == (64, "")
        assert ran.err == f"pricestreamd record: {output} is there already: name another file, or --force\n"
        assert output.read_text() == "of yesterday\n"
        assert (await run(tmp_path, *asked, "--force")).code == 0
    assert len(headers_of(output)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "c.yaml", "--force"], "c.yaml is the configuration: name another file for the recording"),
        (["--output", "nowhere/r.jsonl"], "cannot write nowhere/r.jsonl: No such file or directory"),
        (["--output", ".", "--force"], "cannot write .: Is a directory"),
        (["--output", "r", "--feed", "fed0"], "no feed 'fed0' in the configuration; did you mean 'feed0'?"),
        (["--output", "r", "--symbols", "NOSUCH*"], "no feed has the symbol NOSUCH*"),
        (["--output", "r", "--symbols", "MSFT"], "no feed has the symbol MSFT: name the feed with --feed"),
        (["--output", "r", "--duration", "soon"], "expected a duration such as 10m, got 'soon'"),
        (["--output", "r", "--duration", "5 min"], "expected a duration such as 10m, got '5 min'; did you mean 5m?"),
        (["--output", "r", "--duration", "0"], "nothing can be recorded in no time"),
        ([], "the following arguments are required: --output"),
    ],
)
async def test_what_cannot_be_done_is_one_line_and_code_64(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = tmp_path / "c.yaml"
    feed = "{provider: twelvedata, endpoint: 'ws://127.0.0.1:1/', symbols: [%s]}"
    path.write_text(f"feeds: {{feed0: {feed % 'AAPL'}, feed1: {feed % 'BTC/USD'}}}\n")
    before = path.read_text()
    ran = await run(tmp_path, "record", "--config", path, *arguments)
    assert (ran.code, ran.out) == (64, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
    assert path.read_text() == before
    assert not (tmp_path / "r").exists()


# --- which feeds and symbols


async def subscribed(
    folder: Path, provider: ScriptedProvider, text: str, *arguments: str
) -> dict[str, tuple[str, ...]]:
    """The symbols in the headers of a recording with `arguments`; they are those that were asked for."""
    path, output = folder / "c.yaml", folder / "r.jsonl"
    path.write_text(text)
    output.unlink(missing_ok=True)
    async with Command(folder, "record", "--config", path, "--output", output, *arguments) as command:
        await eventually(lambda: len({frame.feed for frame in frames_of(output)}) == len(headers_of(output)) > 0, 10)
        command.send(signal.SIGTERM)
        ran = await command.ended()
    assert ran.code == 0, ran.err
    headers = {header.feed: header.symbols for header in headers_of(output)}
    asked = {
        name
        for talk in provider.conversations
        for said in talk.actions("subscribe")
        for name in said["params"]["symbols"].split(",")
    }
    assert asked == {symbol.upper() for symbols in headers.values() for symbol in symbols}
    provider.conversations.clear()
    return headers


async def test_feeds_and_symbols_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("IBM\nAAPL\n")
    async with ScriptedProvider() as provider:
        feed = f"provider: twelvedata, endpoint: '{provider.url}'"
        text = (
            "feeds:\n"
            f"  us: {{{feed}, symbols: [AAPL, msft], watchlist: {{file: list.txt}}}}\n"
            f"  fx: {{{feed}, symbols: [EUR/USD, BTC/USD]}}\n"
            # What is wrong elsewhere in the file does not matter.
            "sinks: {x: {type: webhook, url: '${NOWHERE}'}}\n"
        )
        choose: Callable[..., Any] = subscribed
        all_of_them = {"us": ("AAPL", "msft", "IBM"), "fx": ("EUR/USD", "BTC/USD")}
        assert await choose(tmp_path, provider, text) == all_of_them
        assert await choose(tmp_path, provider, text, "--feed", "fx") == {"fx": ("EUR/USD", "BTC/USD")}
        assert await choose(tmp_path, provider, text, "--symbols", "MSFT", "*/usd") == {
            "us": ("msft",),
            "fx": ("EUR/USD", "BTC/USD"),
        }
        assert await choose(tmp_path, provider, text, "--feed", "us", "--symbols", "AAPL,NVDA") == {
            "us": ("AAPL", "NVDA")
        }


# --- on a terminal


async def test_progress_is_drawn_on_a_terminal_and_gone_at_the_end(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    drawn = bytearray()

    def read() -> bytearray:
        with suppress(OSError):  # nothing there yet, or nobody there any more
            drawn.extend(os.read(ours, 65536))
        return drawn

    async with Simulator("twelvedata", rate=100) as simulator:
        path = config(tmp_path, simulator.url)
        arguments = ["record", "--config", str(path), "--output", "r.jsonl", "--duration", "2s"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pricestreamd", *arguments),
            stderr=theirs,
            stdout=asyncio.subprocess.PIPE,
            cwd=tmp_path,
        )
        os.close(theirs)
        await eventually(lambda: b"frames/s" in read(), 15)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    read()
    os.close(ours)
    assert process.returncode == 0
    assert b"%  " in drawn
    assert b" frames, " in drawn
    assert drawn.endswith(b"\r\x1b[K")
    assert out.startswith(b"frames    ")
