"""PriceStreamService: a client's ticks through the engine, and the engine's face for programs."""

import asyncio
import logging
import math
from typing import Any

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.model.errors import AuthenticationFailed, SubscriptionRejected, TransportError
from pricestreamd.model.events import Event, PriceAlert, PriceGap, PriceUpdate, Run
from pricestreamd.model.interface import ClientStats, StreamStats
from pricestreamd.model.secret import Secret
from pricestreamd.stream.alert_rule import AlertError
from pricestreamd.stream.service import PriceStreamService
from pricestreamd.stream.settings import HistorySettings, StreamSettings
from tests.support.records import ManualClock
from tests.support.waiting import eventually
from tests.unit.stream.client import LocalClient, satisfies


class Service:
    """A service over a local client; every event is kept."""

    def __init__(self, settings: StreamSettings | None = None) -> None:
        self.client = LocalClient()
        self.dispatcher = EventDispatcher(Run("run"), clock=ManualClock(77.0))
        self.stream = PriceStreamService(self.client, self.dispatcher, settings)
        self.events: list[Event] = []
        self.dispatcher.on("*", self.events.append)

    def names(self) -> list[str]:
        return [event.event for event in self.events]

    def runs(self) -> bool:
        return self.stream.is_running


def test_any_class_of_the_shape_will_do() -> None:
    assert PriceStreamService(satisfies(), EventDispatcher()).is_running is False


# --- life


async def test_start_connects_subscribes_and_takes_ticks() -> None:
    service = Service()
    assert not service.runs()
    await service.stream.start(["AAPL", "MSFT"])
    assert service.runs()
    assert service.client.is_connected
    assert service.client.get_subscriptions() == ["AAPL", "MSFT"]
    service.client.deliver("AAPL", 100.0, 1.0)
    assert service.names() == ["feed.connected", "price.update"]
    await service.stream.stop()
    assert not service.runs()
    assert not service.client.is_connected


async def test_symbols_may_come_from_anything_that_can_be_gone_through() -> None:
    service = Service()
    await service.stream.start(symbol for symbol in ("AAPL", "MSFT"))
    assert service.client.get_subscriptions() == ["AAPL", "MSFT"]
    assert service.stream.get_stats()["symbols_tracked"] == 2


async def test_stopping_twice_or_before_the_start_is_no_error() -> None:
    service = Service()
    await service.stream.stop()
    await service.stream.start(["AAPL"])
    await service.stream.stop()
    await service.stream.stop()


async def test_a_stream_that_cannot_connect_says_why_and_does_not_run() -> None:
    service = Service()
    service.client.connect_error = TransportError("refused")
    with pytest.raises(TransportError, match="refused"):
        await service.stream.start(["AAPL"])
    assert not service.runs()
    service.client.connect_error = None
    await service.stream.start(["AAPL"])
    assert service.runs()


@pytest.mark.parametrize("failure", [OSError("odd"), asyncio.CancelledError(), TransportError("x")], ids=repr)
@pytest.mark.parametrize("place", ["connect_error", "subscribe_error"])
async def test_whatever_goes_wrong_at_the_start_nothing_is_left_running(place: str, failure: BaseException) -> None:
    service = Service()
    setattr(service.client, place, failure)
    with pytest.raises(type(failure)):
        await service.stream.start(["AAPL"])
    assert not service.runs()
    assert not service.client.is_connected


async def test_run_serves_until_stop() -> None:
    service = Service()
    running = asyncio.create_task(service.stream.run(["AAPL"]))
    await eventually(lambda: "listen" in service.client.calls)
    assert service.runs()
    await service.stream.stop()
    await running
    assert not service.runs()


async def test_run_raises_what_is_fatal_and_closes() -> None:
    service = Service()
    service.client.listen_error = AuthenticationFailed("key refused")
    with pytest.raises(AuthenticationFailed):
        await service.stream.run(["AAPL"])
    assert not service.runs()
    assert service.client.calls == ["connect", "listen", "disconnect"]


async def test_cancelling_run_closes() -> None:
    service = Service()
    running = asyncio.create_task(service.stream.run(["AAPL"]))
    await eventually(lambda: "listen" in service.client.calls)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not service.runs()
    assert not service.client.is_connected


async def test_a_second_start_hears_each_tick_once() -> None:
    service = Service()
    for _ in range(2):
        await service.stream.start(["AAPL"])
        await service.stream.stop()
    await service.stream.start(["AAPL"])
    service.client.deliver("AAPL", 100.0, 1.0)
    assert service.names().count("price.update") == 1


def test_a_client_that_somebody_else_runs_is_only_listened_to() -> None:
    service = Service()
    service.stream.begin(["AAPL"])
    assert service.runs()
    assert service.client.calls == []
    service.client.deliver("AAPL", 100.0, 1.0)
    assert service.names() == ["price.update"]


async def test_symbols_can_be_added_and_removed() -> None:
    service = Service()
    await service.stream.start(["AAPL"])
    await service.stream.subscribe(["TSLA"])
    for symbol in ("AAPL", "TSLA"):
        service.client.deliver(symbol, 100.0, 1.0)
    assert service.stream.get_all_prices() == {"AAPL": 100.0, "TSLA": 100.0}
    await service.stream.unsubscribe(["AAPL"])
    assert service.client.get_subscriptions() == ["TSLA"]
    service.client.deliver("AAPL", 101.0, 2.0)
    assert service.stream.get_all_prices() == {"TSLA": 100.0}
    assert service.stream.get_history("AAPL") == []
    assert service.stream.rejected == {("local", "unknown_symbol"): 1}


async def test_an_alert_that_was_done_is_not_armed_by_taking_its_symbol_back() -> None:
    service = Service()
    service.stream.set_alert("AAPL", above=200, once=True)
    await service.stream.start(["AAPL"])
    service.client.deliver("AAPL", 201.0, 1.0)
    await service.stream.unsubscribe(["AAPL"])
    await service.stream.subscribe(["AAPL"])
    service.client.deliver("AAPL", 202.0, 2.0)
    assert service.stream.alerts_fired == 1


# --- settings


def running(settings: StreamSettings | None = None) -> Service:
    service = Service(settings)
    service.stream.begin(["AAPL", "MSFT"])
    return service


def test_without_settings_the_documented_defaults_hold() -> None:
    settings = running().stream.engine.settings
    assert settings.min_change_percent == 0.1
    assert settings.change_baseline == "previous"
    assert (settings.spike.percent, settings.spike.window) == (5.0, None)
    assert (settings.history.enabled, settings.history.size) == (True, 1000)
    assert settings.suspect is not None
    assert (settings.suspect.jump_percent, settings.suspect.confirm_within) == (20.0, 5.0)
    assert settings.out_of_order == "drop"
    assert settings.bars == ()


def test_the_minimum_of_a_change_can_be_set() -> None:
    service = running()
    service.client.deliver("AAPL", 100.0, 1.0)
    service.client.deliver("AAPL", 100.06, 2.0)
    assert "price.change" not in service.names()
    service.stream.set_min_change_percent(0.05)
    service.client.deliver("AAPL", 100.12, 3.0)
    assert service.names()[-1] == "price.change"
    for bad in (-0.1, math.nan):
        with pytest.raises(ValueError, match="min_change_percent is 0 or more"):
            service.stream.set_min_change_percent(bad)


def test_history_can_be_sized_and_switched() -> None:
    service = running()
    for number in range(5):
        service.client.deliver("AAPL", 100.0 + number / 100, float(number), 10.0)
    assert len(service.stream.get_history("aapl")) == 5
    assert service.stream.get_history("AAPL", 2) == [
        {"timestamp": 3.0, "price": 100.03, "volume": 10.0},
        {"timestamp": 4.0, "price": 100.04, "volume": 10.0},
    ]
    service.stream.set_history_tracking(True, 3)
    assert [entry["timestamp"] for entry in service.stream.get_history("AAPL")] == [2.0, 3.0, 4.0]
    service.stream.set_history_tracking(False)
    assert service.stream.get_history("AAPL") == []
    service.stream.set_history_tracking(True)
    assert service.stream.engine.settings.history == HistorySettings(enabled=True, size=1000)
    with pytest.raises(ValueError, match="a history holds 0 entries or more, not -1"):
        service.stream.set_history_tracking(True, -1)


def test_setting_one_thing_leaves_the_others() -> None:
    service = running(StreamSettings(min_change_percent=0.5, change_baseline="reported"))
    service.stream.set_history_tracking(True, 7)
    service.stream.set_min_change_percent(2)
    settings = service.stream.engine.settings
    assert (settings.min_change_percent, settings.history.size, settings.change_baseline) == (2.0, 7, "reported")


# --- alerts


def test_alerts_are_set_by_name_or_by_mapping() -> None:
    service = running()
    by_name = service.stream.set_alert("AAPL", above=200.00, below=150.00)
    assert service.stream.set_alert("AAPL", {"above": 200.00, "below": 150.00}) == by_name
    assert service.stream.set_alert("AAPL", {"above": 200.00}, below=150.00) == by_name
    assert service.stream.set_alert("MSFT", change_percent=5.0, name="msft") == "msft"
    service.client.deliver("AAPL", 201.0, 1.0)
    (event,) = [event for event in service.events if isinstance(event, PriceAlert)]
    assert (event.alert_id, event.alert_reason) == (by_name, "price_above_200.00")
    assert event.alert_conditions == {"above": 200.0, "below": 150.0}


def test_clear_alerts_clears_those_of_a_symbol() -> None:
    service = running()
    service.stream.set_alert("AAPL", above=200)
    service.stream.set_alert("MSFT", above=200)
    service.stream.clear_alerts("aapl")
    for symbol in ("AAPL", "MSFT"):
        service.client.deliver(symbol, 201.0, 1.0)
    assert [event["symbol"] for event in service.events if isinstance(event, PriceAlert)] == ["MSFT"]


def test_a_wrong_alert_changes_nothing() -> None:
    service = running()
    with pytest.raises(AlertError, match="did you mean above"):
        service.stream.set_alert("AAPL", abov=200)
    assert service.stream.get_stats()["alerts_active"] == 0


# --- questions


def test_last_prices_are_those_of_believed_ticks_in_any_spelling() -> None:
    service = running()
    assert service.stream.get_last_price("AAPL") is None
    assert service.stream.get_all_prices() == {}
    service.client.deliver("AAPL", 100.0, 1.0)
    service.client.deliver("AAPL", 500.0, 2.0)
    assert service.stream.get_last_price(" aapl ") == 100.0
    assert service.stream.get_last_price("NONE") is None
    assert service.stream.get_all_prices() == {"AAPL": 100.0}


def test_statistics_have_exactly_the_keys_of_the_contract() -> None:
    stats = running().stream.get_stats()
    assert list(stats) == [
        *("running", "uptime", "updates_received", "changes_detected", "alerts_triggered", "symbols_tracked"),
        *("alerts_active", "updates_per_second", "websocket_stats"),
    ]
    assert set(stats) == set(StreamStats.__annotations__)
    assert set(stats["websocket_stats"]) == set(ClientStats.__annotations__)


async def test_statistics_count_what_happened() -> None:
    service = Service()
    service.stream.set_alert("AAPL", above=100.5)
    service.stream.set_alert("AAPL", above=100.5, once=True, name="once")
    assert service.stream.get_stats()["uptime"] == 0.0
    await service.stream.start(["AAPL", "MSFT"])
    for number, price in enumerate((100.0, 100.05, 101.0, 500.0, -1.0)):
        service.client.deliver("AAPL", price, float(number))
    await eventually(lambda: service.stream.get_stats()["uptime"] > 0.001)
    stats = service.stream.get_stats()
    assert stats["running"] is True
    # The suspect print is an update; the rejected tick is none.
    assert stats["updates_received"] == 4
    assert stats["changes_detected"] == 1
    assert stats["alerts_triggered"] == service.stream.alerts_fired == 2
    assert stats["symbols_tracked"] == 2
    assert stats["alerts_active"] == 1
    assert stats["updates_per_second"] == pytest.approx(4 / stats["uptime"])
    assert stats["websocket_stats"] == service.client.get_stats()


async def test_after_a_new_start_the_rate_is_that_of_the_new_start() -> None:
    service = Service()
    await service.stream.start(["AAPL"])
    for number in range(1000):
        service.client.deliver("AAPL", 100.0, float(number))
    await service.stream.stop()
    assert service.stream.get_stats()["updates_per_second"] == 0.0
    await service.stream.start(["AAPL"])
    await eventually(lambda: service.stream.get_stats()["uptime"] > 0.001)
    assert service.stream.get_stats()["updates_per_second"] == 0.0
    assert service.stream.get_stats()["updates_received"] == 1000


def test_own_events_of_a_users_making_are_no_updates_of_the_stream() -> None:
    service = running()
    service.dispatcher.dispatch("price.update", {"symbol": "FAKE"})
    assert service.stream.get_stats()["updates_received"] == 0


def test_one_tick_in_so_many_is_timed() -> None:
    service = running()
    for number in range(64):
        service.client.deliver("AAPL", 100.0, float(number))
    assert sum(service.stream.dispatch_seconds.counts) == 1


# --- what the client tells


def test_rejected_ticks_are_logged_once_per_reason_and_minute(caplog: pytest.LogCaptureFixture) -> None:
    service = running()
    prices: list[Any] = [-1.0, -2.0, None, "x" * 10_000, 0.0]
    for number, price in enumerate(prices):
        service.client.deliver("AAPL", price, float(number))
    service.client.deliver("S" * 10_000, 1.0, 9.0)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "tick rejected (not_positive): 'AAPL' at -1.0 from feed local"
    assert [line.split(":")[0] for line in lines] == [
        *("tick rejected (not_positive)", "tick rejected (missing)", "tick rejected (type)"),
        "tick rejected (unknown_symbol)",
    ]
    assert max(map(len, lines)) < 200
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert service.stream.rejected == {
        ("local", "not_positive"): 3,
        ("local", "missing"): 1,
        ("local", "type"): 1,
        ("local", "unknown_symbol"): 1,
    }


def test_the_life_of_a_connection_becomes_feed_events() -> None:
    service = running()
    service.client.change("connected", connection=2, host="h", port=443)
    service.client.change("disconnected", connection=2, reason="reset")
    service.client.change("reconnecting", connection=2, attempt=3, delay=4.0, reason="reset")
    service.client.change("something new")
    absent = dict.fromkeys(("host", "port", "attempt", "delay_seconds", "reason"))
    expected: list[dict[str, Any]] = [
        {"event": "feed.connected", "id": "run-1", "host": "h", "port": 443},
        {"event": "feed.disconnected", "id": "run-2", "reason": "reset"},
        {"event": "feed.reconnecting", "id": "run-3", "attempt": 3, "delay_seconds": 4.0, "reason": "reset"},
    ]
    shared = {"timestamp": 77.0, "feed": "local", "connection": 2}
    assert [event.to_dict() for event in service.events] == [shared | absent | fields for fields in expected]


@pytest.mark.parametrize(
    ("word", "failure", "expected"),
    [
        (
            "network",
            TransportError("no route", feed="us"),
            {"severity": "warning", "feed": "us", "message": "feed us: no route"},
        ),
        ("auth", AuthenticationFailed("refused"), {"severity": "critical", "fatal": True, "feed": None}),
        (
            "subscription",
            SubscriptionRejected("XYZ: unknown", symbol="XYZ", feed="us"),
            {"symbol": "XYZ", "fatal": False},
        ),
        ("odd", TimeoutError(), {"message": "TimeoutError", "severity": "warning"}),
    ],
)
def test_a_failure_of_the_client_becomes_a_price_error(word: str, failure: Exception, expected: dict[str, Any]) -> None:
    service = running()
    service.client.fail(word, failure)
    (event,) = service.events
    assert event.event == "price.error"
    assert event["error"] == word
    assert {key: event[key] for key in expected} == expected


def test_a_gap_of_a_feed_shows_in_the_alerts_of_the_next_tick() -> None:
    service = running()
    service.stream.set_alert("AAPL", above=100.5)
    service.client.deliver("AAPL", 100.0, 1.0)
    service.dispatcher.dispatch(PriceGap("run", 9, 2.0, "local", ("AAPL",), 1.0, 2.0, "reset"))
    service.dispatcher.dispatch("price.gap", {"symbols": "of somebody's own making"})
    service.client.deliver("AAPL", 101.0, 2.0)
    (event,) = [event for event in service.events if isinstance(event, PriceAlert)]
    assert event.after_gap


def test_no_key_leaves_in_the_failure_of_a_client() -> None:
    key = Secret("a-key-that-nobody-sees")
    service = running()
    service.client.fail("handshake", TransportError(f"401 for wss://x.test/?apikey={key.reveal()}"))
    assert service.events[0]["message"] == "401 for wss://x.test/?apikey=***"


def test_listeners_hear_the_events_as_records() -> None:
    service = running()
    heard: list[PriceUpdate] = []
    service.dispatcher.on("price.update", heard.append)
    service.client.deliver("AAPL", 100.0, 1.0)
    assert (heard[0].symbol, heard[0]["price"], heard[0].currency) == ("AAPL", 100.0, "USD")
