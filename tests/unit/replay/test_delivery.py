"""Sinks and listeners in a replay: everybody gets every event, nobody who stands still holds the replay up for long."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.model.tick import Tick
from pricestreamd.replay.delivery import ConfiguredListener, Delivery, DeliveryAccount
from pricestreamd.replay.runner import ReplayRun
from pricestreamd.sinks.file import FileSink
from pricestreamd.sinks.settings import BatchSettings, FileSinkSettings, QueueSettings, RetrySettings
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import StreamSettings

SETTINGS = StreamSettings(suspect=None)


class ListSink:
    """Keeps what it is given; `pause` before each batch, or an error instead."""

    carries = ("*",)
    most_at_once = 500
    concurrent = 1

    def __init__(self, name: str, pause: float = 0.0, error: Exception | None = None) -> None:
        self.name = name
        self.events: list[Event] = []
        self.is_open = False
        self._pause = pause
        self._error = error

    async def open(self) -> None:
        self.is_open = True

    async def deliver(self, batch: Sequence[Event]) -> None:
        if self._error is not None:
            raise self._error
        await asyncio.sleep(self._pause)
        self.events += batch

    async def close(self) -> None:
        self.is_open = False


def settings(size: int = 10_000, **more: Any) -> FileSinkSettings:
    """Those of any sink."""
    queue = QueueSettings(size=size, policy=more.pop("policy", "drop_oldest"))
    return FileSinkSettings(
        type="file", path=Path("unused"), queue=queue, batch=BatchSettings(size=50, interval=0.01), **more
    )


def ticks(count: int) -> Iterable[Tick]:
    return (Tick("AB"[n % 2], 100.0 + n % 7, float(n), float(n), None, None, "replay") for n in range(count))


RULE = AlertRule.from_mapping("*", {"name": "high", "above": 105.0})


def replay(
    sinks: Iterable[tuple[Any, FileSinkSettings]] = (),
    listeners: Iterable[ConfiguredListener] = (),
    *,
    count: int = 5000,
    patience: float = 5.0,
    rules: Iterable[AlertRule] = (RULE,),
    speed: float | None = None,
) -> tuple[ReplayRun, DeliveryAccount]:
    run = ReplayRun(SETTINGS, alerts=rules)

    async def deliver() -> DeliveryAccount:
        delivery = Delivery(run.dispatcher, run.engine.board, sinks, listeners, patience=patience)
        async with delivery:
            await (run.deliver(ticks(count), delivery) if speed is None else run.play(ticks(count), speed))
        return delivery.account()

    return run, asyncio.run(deliver())


def test_a_slow_sink_with_a_small_queue_gets_every_event_in_order() -> None:
    sink = ListSink("slow", pause=0.001)
    run, account = replay([(sink, settings(size=200))])
    assert [event.number for event in sink.events] == list(range(1, run.dispatcher.run.next_number()))
    assert account.sinks["slow"].delivered == account.sinks["slow"].received == len(sink.events)
    assert account.lost == 0
    assert not sink.is_open


def test_a_slow_coroutine_listener_hears_every_event_in_order() -> None:
    heard: list[int] = []

    async def hear(event: Event) -> None:
        heard.append(event.number)
        if not len(heard) % 100:
            await asyncio.sleep(0.001)

    run, account = replay(listeners=[ConfiguredListener("*", hear, "mine:hear")])
    assert heard == list(range(1, run.dispatcher.run.next_number()))
    assert account.lost == 0
    assert account.listeners["mine:hear"].dropped == 0


def test_plain_listeners_are_called_inline_by_their_priority() -> None:
    heard: list[str] = []
    listeners = [
        ConfiguredListener("price.alert", lambda _: heard.append("later"), "a:later"),
        ConfiguredListener("price.alert", lambda _: heard.append("first"), "a:first", 5),
    ]
    run, account = replay(listeners=listeners, count=100)
    fired = run.summary().alerts["high"]
    assert fired > 10
    assert heard == ["first", "later"] * fired
    assert set(account.listeners) == {"a:later", "a:first"}


def test_a_listener_that_raises_is_counted_and_stops_nobody() -> None:
    def fails(event: Event) -> None:
        raise ValueError(event.id)

    sink = ListSink("list")
    run, account = replay([(sink, settings())], [ConfiguredListener("price.alert", fails, "a:fails")], count=100)
    assert account.listeners["a:fails"].errors == run.summary().alerts["high"]
    assert sum(event.event == "price.alert" for event in sink.events) == run.summary().alerts["high"]


def test_an_alert_goes_to_the_sinks_that_it_names_and_any_other_event_by_its_filter() -> None:
    named = AlertRule.from_mapping("A", {"name": "named", "above": 105.0, "notify": ["phone"]})
    unnamed = AlertRule.from_mapping("A", {"name": "unnamed", "above": 106.0})
    phone, log = ListSink("phone"), ListSink("log")
    sinks = [
        (phone, settings(events=("price.spike",))),
        (log, settings(events=("price.alert",), symbols=("A",))),
    ]
    replay(sinks, count=200, rules=[named, unnamed])
    assert {(event.event, event["alert_id"]) for event in phone.events if event.event != "price.spike"} == {
        ("price.alert", "named")
    }
    assert {(event.event, event["alert_id"]) for event in log.events} == {("price.alert", "unnamed")}


def test_a_sink_that_takes_nothing_is_waited_for_no_longer_than_told(caplog: pytest.LogCaptureFixture) -> None:
    stuck, other = ListSink("stuck", pause=1000.0), ListSink("other")
    with caplog.at_level(logging.WARNING, "pricestreamd.replay.delivery"):
        _, account = replay([(stuck, settings(size=100)), (other, settings())], patience=0.3, rules=())
    of = account.sinks["stuck"]
    assert of.delivered == 0
    assert of.received == 5000 + account_changes(account)
    assert of.dropped["overflow"] + of.left == of.received
    assert account.lost == of.received
    assert account.sinks["other"].delivered == of.received
    assert "sink stuck took nothing for 0.3 s: it is waited for no more" in caplog.text


def account_changes(account: DeliveryAccount) -> int:
    """Events beyond one for each tick, by the account of a sink that takes all."""
    return account.sinks["other"].received - 5000


def test_deliveries_that_fail_are_in_the_account_and_the_log_and_make_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = ListSink("bad", error=SinkError("it says no", sink="bad", transient=False))
    heard: list[str] = []
    with caplog.at_level(logging.WARNING, "pricestreamd.replay.delivery"):
        _, account = replay(
            [(refused, settings(events=("price.alert",)))],
            [ConfiguredListener("price.error", lambda event: heard.append(event.error), "a:hear")],
            count=500,
        )
    of = account.sinks["bad"]
    assert of.dropped["refused"] == of.received == account.lost > 0
    assert "sink bad: it says no" in caplog.text
    assert heard == []


def test_a_failure_that_passes_costs_nothing() -> None:
    class Once(ListSink):
        failed = False

        async def deliver(self, batch: Sequence[Event]) -> None:
            if not self.failed:
                self.failed = True
                raise SinkError("not now", sink=self.name)
            await super().deliver(batch)

    sink = Once("once")
    _, account = replay([(sink, settings(retry=RetrySettings(delays=(0.01,), jitter=0.0)))], count=300)
    assert account.sinks["once"].delivered == len(sink.events) == account.sinks["once"].received


def test_what_a_newer_price_replaced_is_no_loss() -> None:
    sink = ListSink("newest", pause=0.01)
    _, account = replay([(sink, settings(events=("price.update",), policy="conflate"))])
    assert account.sinks["newest"].dropped["conflated"] > 0
    assert account.lost == 0
    assert sink.events[-1]["timestamp"] == 4999.0


def test_in_the_rhythm_of_the_ticks_everybody_gets_everything_too() -> None:
    sink = ListSink("list")
    run, account = replay([(sink, settings())], count=500, speed=10_000.0)
    assert account.sinks["list"].delivered == run.dispatcher.run.next_number() - 1


def test_a_file_is_complete_when_the_replay_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    own = FileSinkSettings(type="file", path=path, events=("price.update",))
    replay([(FileSink("file", own), own)], count=3000)
    assert len(path.read_text().splitlines()) == 3000
