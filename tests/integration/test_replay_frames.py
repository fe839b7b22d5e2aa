"""Frames through the command line: recordings and raw frames, what became of them, and what to do where it cannot be."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.cli.main import main
from pricestreamd.providers.description import Description
from pricestreamd.replay.recording import Described, Header, frame_line, header_line
from tests.support.data import shared_data

CANARY = "canary-51aa0c9d77"
HEADER = header_line(Header(feed="us", provider="twelvedata", symbols=("AAPL", "BTC/USD")))


def price(symbol: str, value: float, at: float) -> bytes:
    return json.dumps({"event": "price", "symbol": symbol, "price": value, "timestamp": at}).encode()


def recording(path: Path, *frames: tuple[bytes, float]) -> Path:
    path.write_bytes(HEADER + b"".join(frame_line(data, at, "us", "twelvedata") for data, at in frames))
    return path


class Run:
    """Runs commands in this process, in a folder without a configuration but `c.yaml`."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exited:
            code = int(exited.code or 0)
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err

    def replay(self, *arguments: str | Path) -> dict[str, Any]:
        """The summary of a replay that goes well."""
        code, out, err = self("replay", *arguments, "--json")
        assert (code, err) == (0, "")
        summary: dict[str, Any] = json.loads(out)
        return summary


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("K", "URL", "WEBSOCKET_API_KEY", "WEBSOCKET_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return Run(tmp_path, capfd)


# --- what comes of frames


def test_a_recording_gives_events_and_alerts_as_any_other_replay(run: Run) -> None:
    path = recording(
        run.folder / "r.jsonl",
        (price("AAPL", 190, 100), 100.5),
        (b"garbage", 100.6),
        (price("BTC/USD", 50_000, 101), 101.5),
        (price("AAPL", 201, 102), 102.5),
        (b'{"event":"heartbeat"}', 103.0),
    )
    (run.folder / "c.yaml").write_text("alerts: [{name: high, symbol: AAPL, above: 200}]\n")
    events = run.folder / "events.jsonl"
    summary = run.replay(path, "--config", "c.yaml", "--events", events)
    assert summary["updates"] == {"AAPL": 2, "BTC/USD": 1}
    assert summary["alerts"] == {"high": 1}
    assert (summary["frames"], summary["ignored"], summary["rejected"]) == (5, {"heartbeat": 1}, {"json": 1})
    assert summary["rejected_at"] == f"{path}:3"
    written = [json.loads(line) for line in events.read_text().splitlines()]
    assert [event["event"] for event in written].count("price.update") == 3
    assert {event["feed"] for event in written} == {"replay"}
    assert all(event["received_at"] == event["timestamp"] for event in written)
    again = run.folder / "again.jsonl"
    run.replay(path, "--config", "c.yaml", "--events", again)
    assert again.read_bytes() == events.read_bytes()


def test_the_summary_for_people_tells_what_gave_no_tick(run: Run) -> None:
    path = run.folder / "r.jsonl"
    recording(path, (price("AAPL", 190, 100), 100.5), (b'{"event":"\\u001b[31m"}', 100.6), (b"\xff", 101.0))
    path.write_bytes(path.read_bytes() + b'oops\n{"received_at":1,"feed":"us","provider":"twelvedata","lost":4}\n')
    code, out, err = run("replay", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["ticks     2", "frames    3"]
    assert "ignored   1 (\\x1b[31m)" in lines
    assert f"malformed 1 (lines that are no frames, the first at {path}:5)" in lines
    assert "lost      4 (frames that the disk was too slow for when they were recorded)" in lines
    assert "rejected  1 (utf8)" in lines
    assert f"          first unreadable frame: {path}:4" in lines


def test_raw_frames_need_a_provider_and_get_one(run: Run) -> None:
    path = run.folder / "frames.jsonl.gz"
    path.write_bytes(gzip.compress(price("AAPL", 1, 100) + b"\n" + price("BTC/USD", 2, 99) + b"\n"))
    code, out, err = run("replay", path)
    assert (code, out) == (64, "")
    assert err == (
        f"pricestreamd replay: {path}:1: neither CSV nor a recording: if its lines are frames, "
        "name their provider (--provider)\n"
    )
    assert run.replay(path, "--provider", "twelvedata")["updates"] == {"AAPL": 1, "BTC/USD": 1}
    assert run.replay(path, "--provider", "twelvedata", "--symbols", "btc/*")["updates"] == {"BTC/USD": 1}
    assert run.replay(path, "--provider", "twelvedata", "--channel", "trades", "--speed", "10")["ticks"] == 2


def test_frames_and_csv_are_one_stream_in_the_order_of_time(run: Run) -> None:
    first = recording(run.folder / "r.jsonl", (price("AAPL", 1, 100), 100.5), (price("AAPL", 2, 103), 103.5))
    second = run.folder / "raw.jsonl"
    second.write_bytes(price("MSFT", 3, 101) + b"\n")
    third = run.folder / "t.csv"
    third.write_text("timestamp,symbol,price\n102,IBM,4\n")
    events = run.folder / "events.jsonl"
    summary = run.replay(first, second, third, "--provider", "twelvedata", "--events", events)
    assert (summary["ticks"], summary["frames"]) == (4, 3)
    times = [json.loads(line)["timestamp"] for line in events.read_text().splitlines() if "price.update" in line]
    assert times == [100, 101, 102, 103]


def test_prices_without_a_time_in_a_file_without_times_are_told_of(run: Run) -> None:
    path = run.folder / "raw.jsonl"
    path.write_text('{"symbol":"A","price":1}\n{"symbol":"A","price":2}\n')
    code, out, _ = run("replay", path, "--provider", "generic")
    assert code == 0
    assert "undated   2 (no time in the frame or the file: each got the latest before it)" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--provider", "twelvdata"], "no provider 'twelvdata'; did you mean 'twelvedata'?"),
        (["--provider", "twelvedata", "--channel", "ticker"], "twelvedata has no channel ticker, only trades"),
        (["--channel", "trades"], "--channel goes with --provider: a recording names its own"),
    ],
)
def test_a_wrong_provider_or_channel_is_one_line_and_code_64(run: Run, arguments: list[str], words: str) -> None:
    path = run.folder / "raw.jsonl"
    path.write_bytes(price("A", 1, 1))
    assert run("replay", path, *arguments) == (64, "", f"pricestreamd replay: {words}\n")


# --- a protocol that the configuration describes

CONFIG = """
feeds:
  mine: {provider: generic, endpoint: '${URL:-wss://x.example.org/}', headers: {X-Key: '${K}'}, symbols: [A], price: last}
  other: {provider: twelvedata, api_key: '${K}', symbols: [B]}
"""


def described(path: Path) -> Path:
    header = header_line(Header(feed="mine", provider="generic", description=Described.of(Description(price="p"))))
    path.write_bytes(header + frame_line(b'{"symbol":"A","p":1.5,"last":2.5}', 100.0, "mine", "generic"))
    return path


@pytest.mark.parametrize(
    ("text", "price"),
    [(None, 1.5), (CONFIG, 2.5), (CONFIG.replace("mine", "yours"), 1.5)],
    ids=["no configuration", "configured", "another feed"],
)
def test_the_configuration_has_the_say_over_the_header_of_a_recording(run: Run, text: str | None, price: float) -> None:
    path, events = described(run.folder / "r.jsonl"), run.folder / "events.jsonl"
    configured = []
    if text is not None:
        (run.folder / "c.yaml").write_text(text)
        configured = ["--config", "c.yaml"]
    run.replay(path, "--events", events, *configured)
    assert [json.loads(line)["price"] for line in events.read_text().splitlines()] == [price]


def test_feeds_that_cannot_be_read_are_told_of_and_the_header_counts(run: Run) -> None:
    path = described(run.folder / "r.jsonl")
    (run.folder / "c.yaml").write_text(f"{CONFIG}  broken: {{}}\n")
    code, out, err = run("replay", path, "--config", "c.yaml", "--json")
    assert (code, json.loads(out)["ticks"]) == (0, 1)
    assert err == (
        "warning: c.yaml:5:3: feeds.broken.provider: this key is missing; so no feed there tells how frames are read\n"
    )


@pytest.mark.parametrize("name", ["demo.yaml", "price-stream.yaml", "minimal.yaml"])
def test_no_sample_needs_its_key_for_a_replay_of_frames(run: Run, name: str) -> None:
    path = run.folder / "raw.jsonl"
    path.write_bytes(price("AAPL", 1, 100))
    sample = Path(__file__).parents[2] / "config" / name
    assert run.replay(path, "--provider", "twelvedata", "--config", sample)["updates"] == {"AAPL": 1}


def test_raw_frames_are_read_by_the_one_description_in_the_configuration(run: Run) -> None:
    path = run.folder / "raw.jsonl"
    path.write_text('{"symbol":"A","last":2.5}\n')
    (run.folder / "c.yaml").write_text(CONFIG)
    assert run.replay(path, "--provider", "generic", "--config", "c.yaml")["updates"] == {"A": 1}
    assert run.replay(path, "--provider", "generic")["rejected"] == {"missing": 1}
    (run.folder / "c.yaml").write_text(
        f"{CONFIG}{CONFIG.splitlines()[2].replace('mine', 'more').replace('[A]', '[C]')}\n"
    )
    code, _, err = run("replay", path, "--provider", "generic", "--config", "c.yaml")
    assert code == 64
    assert "the feeds mine, more describe different protocols: keep one in the configuration" in err


# --- recorded by others


@pytest.mark.parametrize(
    ("name", "provider", "frames", "updates"),
    [
        ("twelvedata_20230331.frames.jsonl", "twelvedata", 7, {"AAPL": 5, "BTC/USD": 1}),
        ("binance_20211012.frames.jsonl.gz", "binance", 265, {"LRCBTC": 1, "NKNUSDT": 1}),
        ("binanceus_20211012.frames.jsonl.gz", "binance", 480, {"OMGBUSD": 11}),
    ],
)
def test_every_trade_in_frames_that_others_recorded_is_replayed(
    run: Run, name: str, provider: str, frames: int, updates: dict[str, int]
) -> None:
    summary = run.replay(shared_data(f"frames/{name}"), "--provider", provider)
    assert (summary["frames"], summary["updates"], summary["rejected"]) == (frames, updates, {})
    assert sum(summary["ignored"].values()) == frames - sum(updates.values())
