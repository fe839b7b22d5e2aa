"""A replay gives the events of its ticks, in order, the same every time, and an account that adds up."""

import asyncio
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.model.events import Event
from pricestreamd.model.tick import Tick
from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.replay.runner import ReplayRun, ReplaySummary
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import SpikeSettings, StreamSettings, SuspectSettings

SETTINGS = StreamSettings(min_change_percent=1.0, spike=SpikeSettings(percent=5.0))


def tick(price: float, timestamp: float = 1.0, symbol: str = "A") -> Tick:
    return Tick(symbol, price, timestamp, timestamp, 10.0, None, "replay")


def replayed(ticks: Iterable[Tick], **options: Any) -> tuple[ReplaySummary, list[dict[str, Any]]]:
    events = io.BytesIO()
    summary = ReplayRun(options.pop("settings", SETTINGS), events=events, **options).run(ticks)
    lines = events.getvalue().split(b"\n")
    assert lines.pop() == b""
    return summary, [json.loads(line) for line in lines]


def test_the_events_of_a_tick_come_as_update_change_spike_alert_and_are_numbered() -> None:
    rule = AlertRule.from_mapping("A", {"above": 110.0})
    _, events = replayed([tick(100.0, 1.0), tick(112.0, 2.0)], alerts=[rule])
    assert [event["event"] for event in events] == [
        "price.update",
        "price.update",
        "price.change",
        "price.spike",
        "price.alert",
    ]
    assert [event["id"] for event in events] == [f"replay-{number}" for number in range(1, 6)]
    assert {event["feed"] for event in events} == {"replay"}
    assert all(event["received_at"] == event["timestamp"] for event in events)


def test_every_symbol_is_taken_as_it_comes() -> None:
    summary, _ = replayed([tick(1.0, symbol="A"), tick(1.0, symbol="B"), tick(1.1, symbol="A")])
    assert summary.updates == {"A": 2, "B": 1}


def test_the_account_adds_up() -> None:
    settings = StreamSettings(suspect=SuspectSettings(jump_percent=20.0))
    ticks = [tick(100.0, 1.0), tick(-1.0, 2.0), tick(float("nan"), 2.0), tick(100.0, 0.5), tick(200.0, 3.0)]
    summary, _ = replayed(ticks, settings=settings)
    assert summary.ticks == len(ticks)
    assert summary.rejected == {"not_finite": 1, "not_positive": 1, "out_of_order": 1}
    assert summary.updates == {"A": 1}
    assert summary.suspect == 1
    assert (summary.first, summary.last) == (1.0, 3.0)


def test_old_ticks_are_taken_where_the_settings_say_so() -> None:
    summary, _ = replayed([tick(1.0, 5.0), tick(1.0, 4.0)], settings=StreamSettings(out_of_order="accept"))
    assert summary.updates == {"A": 2}
    assert summary.rejected == {}


def test_a_time_far_ahead_is_no_reason_to_reject_in_a_replay() -> None:
    summary, _ = replayed([tick(1.0, 1.0), tick(1.0, 4e9)])
    assert summary.updates == {"A": 2}


def test_alerts_that_never_fire_are_in_the_account() -> None:
    rules = [
        AlertRule.from_mapping("A", {"above": 100.0, "name": "high"}),
        AlertRule.from_mapping("A", {"below": 1.0, "name": "low"}),
        AlertRule.from_mapping("Z", {"above": 1.0, "name": "elsewhere"}),
    ]
    summary, _ = replayed([tick(99.0), tick(100.0), tick(99.0), tick(100.0)], alerts=rules)
    assert summary.alerts == {"high": 2, "low": 0, "elsewhere": 0}


def test_a_replay_of_nothing_is_an_account_of_nothing() -> None:
    summary, events = replayed([])
    assert events == []
    assert summary == ReplaySummary(
        ticks=0,
        rejected={},
        rejected_at=None,
        updates={},
        suspect=0,
        changes=0,
        spikes=0,
        alerts={},
        first=None,
        last=None,
    )


def test_the_account_is_json() -> None:
    summary, _ = replayed([tick(1.0), tick(0.0)])
    assert json.loads(json.dumps(summary.to_dict())) == summary.to_dict()


def test_rows_that_cannot_be_read_are_rejected_ticks_and_the_first_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1000,A,1\n2000,A,\n3000,A,abc\n4000,A,0\n5000,,1\n6000,A,1.1\n")
    run = ReplayRun()
    summary = run.run(run.read([path]))
    assert summary.rejected == {"missing": 2, "not_positive": 1, "type": 1}
    assert summary.rejected_at == f"{path}:3"
    assert summary.ticks == 6
    assert summary.updates == {"A": 2}


def test_what_came_before_a_broken_row_is_in_the_events_file(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1000,A,1\n2000,A,2\n3000\n4000,A,3\n")
    events = io.BytesIO()
    run = ReplayRun(events=events)
    with pytest.raises(ReplayInputError, match=":4: 1 fields"):
        run.run(run.read([path]))
    assert [json.loads(line)["price"] for line in events.getvalue().splitlines() if b"price.update" in line] == [1, 2]


def test_an_events_file_that_cannot_be_written_ends_the_replay() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        ReplayRun(events=Full()).run([tick(1.0)])


def test_two_replays_give_the_same_bytes_even_with_a_listener_that_fails() -> None:
    def once() -> bytes:
        events = io.BytesIO()
        run = ReplayRun(SETTINGS, alerts=[AlertRule.from_mapping("*", {"change_percent": 1.0})], events=events)

        def fails(event: Event) -> None:
            raise ValueError(event.timestamp)

        run.dispatcher.on("price.change", fails)
        run.run(tick(100.0 + number % 7, float(number), "AB"[number % 2]) for number in range(3000))
        return events.getvalue()

    first = once()
    assert b'"event":"price.error"' in first
    assert first == once()


def test_listeners_hear_a_replay_and_can_look_back_where_a_history_is_kept() -> None:
    run = ReplayRun(keep_history=True)
    heard: list[float] = []
    run.dispatcher.on("price.update", lambda event: heard.append(event.price))
    run.run([tick(1.0), tick(1.1)])
    assert heard == [1.0, 1.1]
    assert [entry["price"] for entry in run.engine.board.history("A")] == [1.0, 1.1]


async def test_a_timed_replay_waits_between_ticks_and_comes_to_the_same_events() -> None:
    now, slept = 50.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 6))
        now += seconds

    ticks = [tick(100.0, 1000.0), tick(110.0, 1001.0), tick(100.0, 1003.0)]
    events = io.BytesIO()
    summary = await ReplayRun(SETTINGS, events=events).play(ticks, 10, sleep=sleep, monotonic=lambda: now)
    fast = io.BytesIO()
    assert summary == ReplayRun(SETTINGS, events=fast).run(ticks)
    assert events.getvalue() == fast.getvalue()
    assert slept == [0.0, 0.1, 0.2]


async def test_a_timed_replay_that_is_cancelled_has_written_what_it_played() -> None:
    events = io.BytesIO()
    playing = asyncio.create_task(ReplayRun(events=events).play([tick(1.0, 0.0), tick(2.0, 3600.0)], 1))
    while not events.getvalue():
        await asyncio.sleep(0)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert events.getvalue().count(b"\n") == 1
