"""Frames become the ticks that their feed made of them, and what is no tick is counted, whatever is in the file."""

import gzip
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.model.zstandard import zstd_module
from pricestreamd.providers.description import Description
from pricestreamd.replay.frames import FrameFormat, FrameTally
from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.replay.readers import read_ticks
from pricestreamd.replay.recording import Described, Header, frame_line, header_line, lost_line
from pricestreamd.replay.runner import ReplayRun, ReplaySummary

TWELVEDATA = FrameFormat(provider="twelvedata")
US = header_line(Header(feed="us", provider="twelvedata", symbols=("AAPL",)))


def price(symbol: str = "AAPL", at: float | None = 1_700_000_000, value: object = 190.5, **more: object) -> bytes:
    fields = {"event": "price", "symbol": symbol, "price": value, "timestamp": at, **more}
    return json.dumps({key: field for key, field in fields.items() if field is not None}).encode()


def framed(data: bytes, received_at: float = 1_700_000_001.25, feed: str = "us", provider: str = "twelvedata") -> bytes:
    return frame_line(data, received_at, feed, provider)


def write(folder: Path, *lines: bytes, name: str = "frames.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return path


def replayed(*paths: Path, **options: Any) -> tuple[ReplaySummary, list[dict[str, Any]]]:
    events = io.BytesIO()
    run = ReplayRun(events=events)
    summary = run.run(run.read(paths, **options))
    return summary, [json.loads(line) for line in events.getvalue().splitlines()]


def ticks(path: Path, **options: Any) -> list[Tick]:
    return list(read_ticks([path], **options))


# --- what becomes of a frame


def test_a_recorded_frame_is_the_tick_that_it_was_at_its_own_time(tmp_path: Path) -> None:
    path = write(tmp_path, US, framed(price(day_volume=7, currency="USD")))
    assert ticks(path) == [Tick("AAPL", 190.5, 1_700_000_000.0, 1_700_000_000.0, 7.0, "USD", "replay")]


def test_symbols_are_spelled_as_they_were_configured(tmp_path: Path) -> None:
    header = header_line(Header(feed="us", provider="twelvedata", symbols=("btc/usd", "RY:TSX")))
    path = write(tmp_path, header, *(framed(price(symbol)) for symbol in ("BTC/USD", "RY", "MSFT")))
    assert [tick.symbol for tick in ticks(path)] == ["btc/usd", "RY:TSX", "MSFT"]


def test_lines_of_a_file_are_frames_where_their_provider_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, price() + b"\n", b"\n", price("MSFT", 1_700_000_001) + b"\r\n", price("A"))
    assert [tick.symbol for tick in ticks(path, raw=TWELVEDATA)] == ["AAPL", "MSFT", "A"]


@pytest.mark.parametrize("pack", ["gz", "zst"])
def test_packed_frames_are_frames(tmp_path: Path, pack: str) -> None:
    zstd = zstd_module()
    assert zstd is not None, "the development tools bring it"
    compress = gzip.compress if pack == "gz" else zstd.compress
    recording = write(tmp_path, compress(US + framed(price())), name=f"r.jsonl.{pack}")
    raw = write(tmp_path, compress(price() + b"\n"), name=f"f.jsonl.{pack}")
    assert ticks(recording) == ticks(raw, raw=TWELVEDATA)
    assert len(ticks(raw, raw=TWELVEDATA)) == 1


def test_a_binary_frame_is_a_frame(tmp_path: Path) -> None:
    path = write(tmp_path, US, framed(b"\x80\xff"), framed(price()))
    summary, _ = replayed(path)
    assert (summary.frames, summary.ticks, summary.rejected) == (2, 2, {"utf8": 1})
    assert summary.rejected_at == f"{path}:2"


def test_a_frame_longer_than_any_row_is_read(tmp_path: Path) -> None:
    long = price(note="x" * 3_000_000)
    assert len(ticks(write(tmp_path, US, framed(price()), framed(long), framed(price())))) == 3
    assert len(ticks(write(tmp_path, long + b"\n", price()), raw=TWELVEDATA)) == 2


def test_only_the_symbols_that_are_asked_for_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path, US, *(framed(price(symbol)) for symbol in ("AAPL", "BTC/USD", "ETH/USD", "aapl")))
    summary, _ = replayed(path, symbols="*/usd")
    assert summary.updates == {"BTC/USD": 1, "ETH/USD": 1}
    assert (summary.frames, summary.rejected) == (4, {})


def test_each_feed_of_a_recording_has_its_own_adapter(tmp_path: Path) -> None:
    crypto = header_line(Header(feed="av", provider="alphavantage", symbols=("IBM",)))
    body = b'{"Global Quote":{"01. symbol":"IBM","05. price":"133.96","07. latest trading day":"2019-06-28"}}'
    path = write(
        tmp_path, US, crypto, framed(price("IBM.X")), framed(body, 1.6e9, "av", "alphavantage"), framed(price())
    )
    assert [(tick.symbol, tick.price) for tick in ticks(path)] == [("IBM.X", 190.5), ("IBM", 133.96), ("AAPL", 190.5)]


def test_a_new_header_begins_a_new_adapter(tmp_path: Path) -> None:
    again = header_line(Header(feed="us", provider="twelvedata", symbols=("aapl",)))
    path = write(tmp_path, US, framed(price()), again, framed(price("MSFT")), framed(price("aapl")))
    assert [tick.symbol for tick in ticks(path)] == ["AAPL", "MSFT", "AAPL"]


def test_a_feed_without_a_header_is_read_by_the_provider_in_its_frames(tmp_path: Path) -> None:
    path = write(tmp_path, US, framed(price(), feed="other"), framed(price(), feed="worse", provider="nosuch"))
    summary, _ = replayed(path)
    assert (summary.updates, summary.malformed, summary.malformed_at) == ({"AAPL": 1}, 1, f"{path}:3")


# --- a protocol that a configuration describes


def described(**words: Any) -> bytes:
    return header_line(Header(feed="mine", provider="generic", description=Described.of(Description(**words))))


def test_a_described_protocol_is_read_by_the_header_or_better_by_the_configuration(tmp_path: Path) -> None:
    frame = framed(b'{"s":"A","p":1.5,"last":2.5}', feed="mine", provider="generic")
    path = write(tmp_path, described(symbol="s", price="p"), frame)
    configured = {"mine": Description(symbol="s", price="last")}
    assert [tick.price for tick in ticks(path)] == [1.5]
    assert [tick.price for tick in ticks(path, descriptions=configured.get)] == [2.5]
    assert [tick.price for tick in ticks(path, descriptions={}.get)] == [1.5]


def test_raw_frames_of_a_described_protocol_are_read_by_the_description(tmp_path: Path) -> None:
    raw = FrameFormat(provider="generic", description=Description(symbol="s", price="p"))
    assert [tick.price for tick in ticks(write(tmp_path, b'{"s":"A","p":1.5}\n'), raw=raw)] == [1.5]


# --- time


def test_a_price_without_a_time_is_of_the_time_of_its_receipt(tmp_path: Path) -> None:
    path = write(tmp_path, US, framed(price(at=None), 1_700_000_009.5))
    summary, events = replayed(path)
    assert [event["timestamp"] for event in events] == [1_700_000_009.5]
    assert summary.undated == 0


def test_where_no_receipt_is_known_it_is_of_the_latest_time_before_it_and_counted(tmp_path: Path) -> None:
    raw = FrameFormat(provider="generic", description=Description(timestamp="t"))
    times = ["null", "100", "90", "null", "100", "null"]
    lines = [f'{{"symbol":"A","price":1,"t":{time}}}\n'.encode() for time in times]
    summary, events = replayed(write(tmp_path, *lines), raw=raw)
    # The price of 90 came too late for the stream, not for the file.
    assert [event["timestamp"] for event in events] == [0.0, 100.0, 100.0, 100.0, 100.0]
    assert (summary.undated, summary.rejected) == (3, {"out_of_order": 1})


def test_a_time_that_no_stream_would_have_believed_is_rejected_as_it_was(tmp_path: Path) -> None:
    milliseconds = framed(price(at=1_700_000_000_000))
    path = write(tmp_path, US, milliseconds, framed(price(at=1_700_000_000 + 2 * 86_400)), framed(price()))
    summary, _ = replayed(path)
    assert summary.rejected == {"future": 1, "type": 1}
    assert (summary.ticks, summary.last) == (3, 1_700_000_000.0)


def test_raw_frames_may_be_of_any_time_that_a_calendar_knows(tmp_path: Path) -> None:
    path = write(tmp_path, price(at=4e9) + b"\n", price(at=1e300))
    summary, _ = replayed(path, raw=TWELVEDATA)
    assert (summary.updates, summary.rejected) == ({"AAPL": 1}, {"type": 1})


def test_recordings_raw_frames_and_csv_are_merged_by_time(tmp_path: Path) -> None:
    recording = write(tmp_path, US, framed(price(at=1_700_000_001)), framed(price(at=1_700_000_004)))
    raw = write(tmp_path, price("MSFT", 1_700_000_002) + b"\n", name="raw")
    csv = write(tmp_path, b"timestamp,symbol,price\n1700000000,IBM,1\n1700000003,IBM,2\n", name="t.csv")
    summary, events = replayed(recording, raw, csv, raw=TWELVEDATA)
    updates = [event["symbol"] for event in events if event["event"] == "price.update"]
    assert updates == ["IBM", "AAPL", "MSFT", "IBM", "AAPL"]
    assert summary.frames == 3


# --- what is no tick


def test_what_gives_no_tick_is_counted_by_its_reason(tmp_path: Path) -> None:
    lines = [
        b'{"event":"subscribe-status","status":"ok","success":[{"symbol":"AAPL"}],"fails":null}',
        b'{"event":"heartbeat","status":"ok"}',
        b'{"event":"reset-status","status":"ok"}',
        b'{"event":"error","message":"Invalid API key"}',
        b'{"event":"error","message":"whatever"}',
        b"not json",
        b'{"event":"price","symbol":"A"}',
        price(value=-1),
    ]
    path = write(tmp_path, *(line + b"\n" for line in lines))
    summary, events = replayed(path, raw=TWELVEDATA)
    assert events == []
    assert summary.frames == 8
    assert summary.ignored == {
        "answer": 1,
        "complaint (auth)": 1,
        "complaint (transient)": 1,
        "heartbeat": 1,
        "reset-status": 1,
    }
    assert summary.rejected == {"json": 1, "missing": 1, "not_positive": 1}
    assert summary.rejected_at == f"{path}:6"
    assert summary.ticks == 3


def test_a_server_that_invents_kinds_does_not_make_the_table_grow() -> None:
    tally = FrameTally()
    for number in range(1000):
        tally.ignore(f"kind {number}")
    tally.ignore("kind 0")
    assert len(tally.ignored) == 101
    assert tally.ignored.total() == 1001
    assert (tally.ignored["kind 0"], tally.ignored["others"]) == (2, 900)


def test_malformed_lines_are_passed_over_counted_and_the_first_is_named(tmp_path: Path) -> None:
    junk = [b"\n", b"oops\n", b'{"received_at":1,"feed":"us","provider":"p"}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
    path = write(tmp_path, US, framed(price()), *junk, framed(price()), b'{"received_at":17')
    summary, _ = replayed(path)
    assert (summary.ticks, summary.frames, summary.malformed) == (2, 2, 5)
    assert summary.malformed_at == f"{path}:4"


def test_frames_that_the_recorder_lost_are_in_the_account(tmp_path: Path) -> None:
    path = write(tmp_path, US, lost_line(3, 1.0, "us", "twelvedata"), framed(price()), lost_line(4, 2.0, "x", "nosuch"))
    summary, _ = replayed(path)
    assert (summary.lost, summary.frames, summary.malformed) == (7, 1, 0)


@pytest.mark.parametrize("pack", ["plain", "gz", "zst"])
def test_a_recording_that_was_cut_off_is_read_up_to_the_cut(tmp_path: Path, pack: str) -> None:
    whole = US + b"".join(framed(price(value=100 + number / 7)) for number in range(20_000))
    zstd = zstd_module()
    assert zstd is not None, "the development tools bring it"
    packed = {"plain": whole, "gz": gzip.compress(whole), "zst": zstd.compress(whole)}[pack]
    path = write(tmp_path, packed[: len(packed) * 2 // 3])
    summary, _ = replayed(path)
    assert 1_000 < summary.ticks < 20_000
    assert summary.malformed <= 1
    assert summary.cut_off == ([] if pack == "plain" else [str(path)])


def test_raw_frames_that_were_cut_off_are_an_error_as_any_other_file(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(price() * 1000)[:-20])
    with pytest.raises(ReplayInputError, match="ends too early: fetch or copy the file again"):
        ticks(path, raw=TWELVEDATA)


@pytest.mark.parametrize(
    ("line", "raw", "words"),
    [
        (header_line(Header(feed="us", provider="twelvdata")), None, ":1: unknown provider 'twelvdata': did you mean"),
        (b"\n" + price(), FrameFormat(provider="nosuch"), "unknown provider 'nosuch'"),
        (price(), None, ":1: neither CSV nor a recording: if its lines are frames, name their provider"),
        (b'[{"T":"t"}]', None, ":1: neither CSV nor a recording"),
    ],
)
def test_what_cannot_be_read_as_frames_is_an_error_that_says_why(
    tmp_path: Path, line: bytes, raw: FrameFormat | None, words: str
) -> None:
    path = write(tmp_path, line)
    with pytest.raises(ReplayInputError) as caught:
        ticks(path, raw=raw)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


FILES = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from([US, framed(price()), framed(b"\xff"), lost_line(1, 1.0, "us", "p"), price(), price(at=None)]),
        st.builds(
            lambda at, value: framed(price(at=at), value),
            st.one_of(st.floats(allow_nan=False), st.integers()),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
    ).map(lambda line: line.rstrip(b"\n") + b"\n"),
    max_size=12,
)


@pytest.mark.parametrize("raw", [None, TWELVEDATA])
@given(lines=FILES)
def test_no_file_whatever_makes_a_recording_raise(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], raw: FrameFormat | None
) -> None:
    path = write(tmp_path_factory.getbasetemp(), *([] if raw else [US]), *lines)
    if raw is not None and path.read_bytes()[:1] in (b"", b"\x1f", b"\x28"):
        return  # an empty file, or one that claims to be packed
    summary, events = replayed(path, raw=raw)
    assert summary.ticks == sum(summary.updates.values()) + summary.suspect + sum(summary.rejected.values())
    assert all(math.isfinite(event["timestamp"]) for event in events)


def test_two_replays_of_frames_write_the_same_bytes(tmp_path: Path) -> None:
    def frames() -> Iterable[bytes]:
        for number in range(3000):
            yield framed(price("AB"[number % 2], 1.7e9 + number, 100.0 + number % 9), 1.7e9 + number + 0.5)

    path = write(tmp_path, US, *frames())
    first, second = io.BytesIO(), io.BytesIO()
    for events in (first, second):
        run = ReplayRun(events=events)
        run.run(run.read([path]))
    assert first.getvalue() == second.getvalue()
    assert first.getvalue().count(b"price.update") == 3000
