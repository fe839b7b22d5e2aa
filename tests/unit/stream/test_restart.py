"""What outlasts a restart: where alerts stand, and last prices. And deadlines, which a tick may overtake."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pricestreamd.model.events import PriceAlert, PriceUpdate
from pricestreamd.model.tick import Tick
from pricestreamd.stream.alerts.ledger import Deadlines
from pricestreamd.stream.alerts.price_trail import PriceTrail
from pricestreamd.stream.alerts.record import AlertRecord
from tests.unit.stream.ticking import PLAIN, SpikeSettings, Stream

LAST = (100.0, 990.0, 991.0, 5.0, "USD", "us")


def live(*symbols: str, **settings: Any) -> Stream:
    return Stream(*(symbols or ("AAPL",)), since=1000.0, **PLAIN | settings)


def records(stream: Stream) -> tuple[AlertRecord, ...]:
    return stream.engine.alerts.take_changes().records


def restarted(old: Stream, **alert: Any) -> Stream:
    new = live()
    new.set_alert(name="a", **alert)
    new.board.restore(records(old))
    return new


def holding(seconds: float) -> dict[str, Any]:
    """`for` is a word that Python keeps."""
    return {"for": seconds}


# --- alerts


def test_a_record_can_be_written_down() -> None:
    stream = live()
    stream.set_alert(name="a", above=200, change_percent=5, **holding(10))
    stream.tick(201.0)
    (record,) = records(stream)
    assert msgspec.json.decode(msgspec.json.encode(record), type=AlertRecord) == record
    assert stream.engine.alerts.take_changes().records == ()


def test_an_alert_that_fired_before_does_not_fire_because_of_a_restart() -> None:
    old = live()
    old.set_alert(name="a", above=200)
    assert old.reasons(201.0) == ["price_above_200.00"]
    new = restarted(old, above=200)
    assert [new.reasons(price) for price in (202.0, 199.0)] == [[], []]
    (again,) = new.alerts(203.0)
    assert not again.after_gap


def test_the_first_tick_after_a_restart_is_one_after_a_gap() -> None:
    old = live()
    old.set_alert(name="a", above=200)
    old.tick(199.0)
    (alert,) = restarted(old, above=200).alerts(201.0)
    assert alert.after_gap


def test_what_is_done_stays_done_unless_it_is_to_fire_more_than_once() -> None:
    old = live()
    old.set_alert(name="a", above=200, once=True)
    old.tick(201.0)
    kept = records(old)
    for once, reasons in ((True, []), (False, ["price_above_200.00"])):
        new = live()
        new.set_alert(name="a", above=200, once=once)
        assert new.board.alerts_active() == 1
        new.board.restore(kept)
        assert new.board.alerts_active() == (0 if once else 1)
        assert new.reasons(202.0) == []
        new.tick(199.0)
        assert new.reasons(203.0) == reasons


def test_a_condition_that_was_changed_meanwhile_begins_anew() -> None:
    old = live()
    old.set_alert(name="a", above=200, below=100)
    old.tick(201.0)
    assert restarted(old, above=200.5, below=100).reasons(201.0) == ["price_above_200.50"]


def test_what_is_kept_of_symbols_that_are_not_tracked_yet_waits_for_them() -> None:
    old = live()
    old.set_alert("*", name="a", above=200, once=True)
    old.tick(201.0)
    new = live("MSFT")
    new.set_alert("*", name="a", above=200, once=True)
    new.board.restore(records(old))
    new.board.track(["AAPL"])
    assert new.reasons(202.0) == []
    assert new.reasons(202.0, symbol="MSFT") == ["price_above_200.00"]
    # Who sets it anew begins it anew, also while the symbol is not there.
    again = live("MSFT")
    again.set_alert("*", name="a", above=200, once=True)
    again.board.restore(records(new))
    again.set_alert("*", name="a", above=200, once=True)
    again.board.track(["AAPL"])
    assert again.reasons(202.0) == ["price_above_200.00"]


def test_what_is_kept_of_alerts_that_are_no_more_is_to_be_kept_no_longer() -> None:
    old = live("AAPL", "MSFT")
    for symbol in ("AAPL", "MSFT"):
        old.set_alert(symbol, name=symbol, above=200)
    new = live("AAPL", "MSFT")
    new.set_alert("GOOGL", name="MSFT", above=200)
    new.board.restore(records(old))
    assert set(new.engine.alerts.take_changes().gone) == {("AAPL", "AAPL"), ("MSFT", "MSFT")}


def test_an_alert_that_is_set_again_after_it_was_removed_is_kept_again() -> None:
    stream = live()
    stream.set_alert(name="a", above=200)
    stream.board.remove_alert("a")
    assert stream.engine.alerts.take_changes().gone == (("a", "AAPL"),)
    stream.board.set_alert(stream.set_alert(name="a", above=200))
    changes = stream.engine.alerts.take_changes()
    assert (len(changes.records), changes.gone) == (1, ())


def test_a_record_without_its_times_is_of_one_that_does_not_hold() -> None:
    old = live()
    old.set_alert(name="a", above=200, **holding(10))
    old.tick(201.0)
    (record,) = records(old)
    (condition,) = record.conditions
    new = live()
    new.set_alert(name="a", above=200, **holding(10))
    lost = replace(condition, holds_since=None)
    new.board.restore([replace(record, conditions=(lost,))])
    assert new.reasons(201.0) == []
    assert [event.event for event in new.pass_time(new.now + 10.0)] == ["price.alert"]


def test_where_ticks_were_faster_than_what_was_kept_they_say_where_it_stands() -> None:
    """A disk that could not be read at the start may be read later."""
    old = live()
    old.set_alert(name="a", above=200, once=True)
    old.set_alert(name="b", above=200, cooldown=60)
    old.tick(201.0)
    new = live()
    new.set_alert(name="a", above=200, once=True)
    new.set_alert(name="b", above=200, cooldown=60)
    new.tick(199.0)
    new.board.restore(records(old))
    assert [new.reasons(price) for price in (201.0, 199.0)] == [[], []]
    explained = new.engine.alerts.explain("b", "AAPL")
    assert explained is not None
    assert (explained["state"], explained["firings"], explained["held_back"]) == ("cooling", 1, 1)


def test_what_held_has_to_be_seen_once_more() -> None:
    old = live()
    old.set_alert(name="a", above=200, **holding(10))
    old.tick(201.0)
    new = restarted(old, above=200, **holding(10))
    assert new.pass_time(new.now + 60.0) == []
    (alert,) = new.alerts(202.0)
    assert alert.after_gap


def test_whoever_keeps_the_changes_hears_of_a_turn_after_its_events() -> None:
    stream = live()
    stream.set_alert(name="a", above=200)
    heard: list[list[str]] = []
    stream.engine.alerts.on_turn = lambda: heard.append([event.event for event in stream.events])
    stream.tick(201.0)
    assert heard == [["price.update", "price.alert"]]
    stream.tick(202.0)
    assert len(heard) == 1
    # Armed again: a restart from here on must not take the next crossing for the last one.
    stream.tick(199.0)
    assert len(heard) == 2
    stream.set_alert(name="b", above=200, **holding(10))
    stream.board.remove_alert("a")
    stream.tick(201.0)
    stream.pass_time(stream.now + 10.0)
    assert heard[-1][-1] == "price.alert"


# --- last prices


@pytest.mark.parametrize("track_last", [False, True])
def test_the_first_tick_after_a_restart_is_compared_with_the_last_one_before(track_last: bool) -> None:
    stream = live("MSFT") if track_last else live()
    stream.board.restore_price("aapl", *LAST)
    if track_last:
        stream.board.track(["AAPL"])
    state = stream.board.by_symbol["AAPL"]
    assert (state.price, state.timestamp, state.updates, stream.engine.sequence) == (100.0, 990.0, 0, 0)
    assert [one.symbol for one in stream.board.prices()] == ["AAPL"]
    assert state.tick is not None
    assert (state.tick.volume, state.tick.currency, state.tick.feed, state.tick.received_at) == (
        5.0,
        "USD",
        "us",
        991.0,
    )
    (update,) = stream.tick(110.0)
    assert isinstance(update, PriceUpdate)
    assert (update.last_price, update.change, update.change_percent, update.sequence) == (100.0, 10.0, 10.0, 1)
    assert state.updates == 1


def test_its_alerts_are_after_a_gap_and_only_its() -> None:
    stream = live()
    stream.set_alert(above=105)
    stream.board.restore_price("AAPL", *LAST)
    assert [event.after_gap for event in stream.alerts(110.0)] == [True]
    stream.tick(100.0)
    assert [event.after_gap for event in stream.alerts(110.0)] == [False]


def test_a_restored_price_is_judged_as_any_other() -> None:
    stream = Stream(since=1000.0, min_change_percent=1.0, spike=SpikeSettings(percent=5.0, window=600.0))
    stream.board.restore_price("AAPL", *LAST)
    assert stream.names(99.0, 1001.0, timestamp=989.0) == []
    assert stream.rejections == [("AAPL", "out_of_order")]
    assert stream.update(130.0).suspect
    assert stream.names(107.0) == ["update", "change", "spike"]


def test_a_tick_is_newer_than_what_is_restored() -> None:
    stream = live()
    stream.tick(50.0)
    stream.board.restore_price("AAPL", *LAST)
    assert stream.board.by_symbol["AAPL"].price == 50.0


@pytest.mark.parametrize(
    ("price", "timestamp", "received_at"),
    [(math.nan, 1.0, 1.0), (0.0, 1.0, 1.0), (1.0, math.inf, 1.0), (1.0, 1.0, math.nan)],
)
def test_what_cannot_be_a_price_is_not_restored(price: float, timestamp: float, received_at: float) -> None:
    stream = live()
    stream.board.restore_price("AAPL", price, timestamp, received_at)
    assert list(stream.board.prices()) == []


def test_an_alert_that_is_set_after_a_restart_does_not_measure_from_before_it() -> None:
    stream = live()
    stream.board.restore_price("AAPL", *LAST)
    stream.set_alert(change_percent=5)
    stream.set_alert(name="b", trailing_percent=5)
    stream.board.rearm("b")
    assert [stream.reasons(price) for price in (90.0, 91.0)] == [[], []]


def test_the_price_of_some_time_ago_may_be_one_from_before_a_restart() -> None:
    stream = live()
    stream.set_alert(change_percent=5, baseline=60)
    stream.board.restore_price("AAPL", *LAST)
    assert stream.reasons(106.0, 1100.0) == ["change_percent_5.00"]


def test_without_a_history_an_alert_that_is_new_knows_the_last_price() -> None:
    stream = live()
    stream.board.restore_price("AAPL", *LAST)
    stream.set_alert(change_percent=5, baseline=60)
    assert stream.reasons(106.0, 1100.0) == ["change_percent_5.00"]


# --- deadlines


def test_what_held_to_its_deadline_fires_though_a_tick_was_faster_than_the_timer() -> None:
    stream = live()
    stream.set_alert(name="a", above=200, **holding(10))
    stream.tick(201.0, 1000.0)
    before = len(stream.events)
    stream.now = 1010.5
    stream.engine.on_tick(Tick("AAPL", 150.0, 1010.5, 1010.5, None, None, "us"))
    update, alert = stream.events[before:]
    assert isinstance(alert, PriceAlert)
    assert (update["price"], alert.price, alert.timestamp) == (150.0, 201.0, 1010.0)
    assert (alert.last_price, alert.change, alert.change_percent) == (201.0, 0.0, 0.0)
    assert alert.alert_text.startswith("AAPL 201.00 has been above 200.00 for 10s")


def test_of_a_thousand_that_were_called_off_few_are_remembered() -> None:
    stream = live()
    stream.set_alert(above=100, **holding(80_000))
    stream.set_alert(above=200, **holding(86_400))
    for _ in range(1000):
        stream.tick(201.0)
        stream.tick(199.0)
    assert len(stream.board.ledger.deadlines._heap) <= 64


def test_a_deadline_that_comes_earlier_is_told_of() -> None:
    told: list[float] = []
    stream = live()
    stream.board.ledger.deadlines.on_earlier = told.append
    stream.set_alert(above=200, **holding(30))
    stream.set_alert(above=200, name="b", **holding(10))
    stream.set_alert(above=200, name="c", **holding(20))
    stream.tick(201.0, 1000.0)
    assert told == [1030.0, 1010.0]
    assert stream.engine.next_deadline() == stream.engine.alerts.earliest_deadline == 1010.0
    assert Deadlines().next() == math.inf


# --- old prices


def test_the_price_trail_follows_a_clock_that_was_set_back() -> None:
    trail = PriceTrail(60.0)
    for at, price in ((1000.0, 1.0), (1050.0, 2.0), (1090.0, 3.0)):
        trail.push(at, price)
    trail.push(100.0, 3.0)
    assert trail.price_before() is not None
    trail.push(121.0, 4.0)
    assert trail.price_before() == 2.0


def test_the_price_trail_keeps_no_more_than_it_needs() -> None:
    trail = PriceTrail(10.0)
    for at in range(10_000):
        trail.push(float(at), float(at))
        trail.price_before()
    assert len(trail) == 11
    assert len(trail._times) < 1100
    assert trail.price_before() == 9989.0
