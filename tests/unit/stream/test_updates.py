"""price.update: what every accepted tick becomes, and the numbers it draws."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.dispatch.route import SAMPLE
from pricestreamd.model.events import Event, PriceUpdate, to_json
from pricestreamd.model.tick import Tick
from pricestreamd.stream.engine import StreamEngine
from pricestreamd.stream.settings import SpikeSettings, StreamSettings
from tests.support.records import ManualClock
from tests.unit.stream.ticking import PLAIN, Stream

prices = st.floats(0.01, 1e6)


def test_an_update_says_what_the_tick_said() -> None:
    stream = Stream("RY:TSX")
    (event,) = stream.tick(100.5, 5.0, "RY:TSX", received_at=5.25, volume=10.0, currency="CAD", feed="toronto")
    assert isinstance(event, PriceUpdate)
    assert json.loads(to_json(event)) == {
        "event": "price.update",
        "id": "run-1",
        "timestamp": 5.0,
        "symbol": "RY:TSX",
        "price": 100.5,
        "volume": 10.0,
        "last_price": None,
        "change": 0.0,
        "change_percent": 0.0,
        "currency": "CAD",
        "feed": "toronto",
        "received_at": 5.25,
        "sequence": 1,
        "suspect": False,
    }


def test_the_first_tick_of_a_symbol_has_no_last_price_and_no_change() -> None:
    stream = Stream("AAPL", "MSFT", min_change_percent=0.0)
    for symbol in ("AAPL", "MSFT"):
        (event,) = stream.tick(100.0, symbol=symbol)
        assert isinstance(event, PriceUpdate)
        assert (event.last_price, event.change, event.change_percent) == (None, 0.0, 0.0)


def test_change_is_against_the_previous_tick_of_the_same_symbol() -> None:
    stream = Stream("AAPL", "MSFT", **PLAIN)
    stream.tick(100.0)
    stream.tick(300.0, symbol="MSFT")
    event = stream.update(101.0)
    assert (event.last_price, event.change, event.change_percent) == (100.0, 1.0, 1.0)
    event = stream.update(100.0)
    assert (event.last_price, event.change, event.change_percent) == (101.0, -1.0, -100.0 / 101.0)
    event = stream.update(100.0)
    assert (event.last_price, event.change, event.change_percent) == (100.0, 0.0, 0.0)


@given(st.lists(prices, min_size=2, max_size=20))
def test_change_and_percent_are_exactly_those_two_formulas(path: list[float]) -> None:
    stream = Stream(**PLAIN)
    last = None
    for price in path:
        event = stream.update(price)
        assert event.last_price == last
        if last is not None:
            assert event.change == price - last
            assert event.change_percent == 100.0 * (price - last) / last
            # Never rounded: as close to the true value as doubles get in three operations.
            true = Fraction(100) * (Fraction(price) - Fraction(last)) / Fraction(last)
            assert abs(Fraction(event.change_percent) - true) <= abs(true) * Fraction(4, 2**53)
        last = price


def test_sequence_counts_ticks_from_one_across_symbols() -> None:
    stream = Stream("AAPL", "MSFT", min_change_percent=0.0)
    events = [event for n in range(6) for event in stream.tick(100.0 + n, symbol=("AAPL", "MSFT")[n % 2])]
    updates = [event for event in events if type(event) is PriceUpdate]
    assert [event.sequence for event in updates] == [1, 2, 3, 4, 5, 6]


def test_all_events_of_a_tick_have_its_sequence_and_come_in_their_order() -> None:
    stream = Stream(suspect=None)
    stream.set_alert(above=110, below=200)
    stream.set_alert(above=120)
    assert stream.names(100.0) == ["update", "alert"]
    events = stream.tick(130.0)
    assert [event.event for event in events] == [
        *("price.update", "price.change", "price.spike", "price.alert", "price.alert")
    ]
    assert {event["sequence"] for event in events} == {2}
    assert [event.id for event in events] == ["run-3", "run-4", "run-5", "run-6", "run-7"]
    shared = set(events[0].to_dict()) - {"event", "id"}
    for event in events:
        assert {key: event[key] for key in shared} == {key: events[0][key] for key in shared}


def test_a_rejected_tick_draws_no_number() -> None:
    stream = Stream()
    stream.tick(100.0)
    stream.tick(-1.0)
    event = stream.update(100.0)
    assert (event.sequence, event.number) == (2, 2)


PATH = [100.0, 101.0, 101.0, 150.0, 151.0, 150.5, 90.0, 90.0, 100.0]


@pytest.mark.parametrize(
    "pattern", ["price.update", "price.alert", "price.change", "price.spike", "price.*", "nothing"]
)
def test_ids_counts_and_numbers_do_not_depend_on_who_listens(pattern: str) -> None:
    full, other = Stream(), Stream(listen=False)
    heard: list[Event] = []
    other.dispatcher.on(pattern, heard.append)
    for stream in (full, other):
        stream.set_alert(above=100.5, below=95)
        for price in PATH:
            stream.tick(price)
    wanted = [event for event in full.events if pattern in (event.event, "price.*")]
    assert heard == wanted
    assert [event.id for event in heard] == [event.id for event in wanted]
    assert other.dispatcher.event_counts == full.dispatcher.event_counts
    assert other.engine.alerts_fired == full.engine.alerts_fired > 0
    assert other.engine.firings == full.engine.firings


def test_the_same_ticks_twice_give_byte_equal_events() -> None:
    runs = []
    for _ in range(2):
        stream = Stream(spike=SpikeSettings(window=60.0))
        stream.set_alert(above=100.5, below=95, change_percent=3)
        for price in PATH:
            stream.tick(price)
        runs.append(b"\n".join(map(to_json, stream.events)))
    assert runs[0] == runs[1]


# --- spelling


@pytest.mark.parametrize("spelling", ["AAPL", "aapl", " AAPL ", "\taApL\n"])
def test_events_carry_the_configured_spelling(spelling: str) -> None:
    stream = Stream("aApl")
    (event,) = stream.tick(100.0, symbol=spelling)
    assert event["symbol"] == "aApl"
    state = stream.board.state(spelling)
    assert state is not None
    assert state.price == 100.0
    assert stream.rejections == []


def test_other_spellings_are_one_symbol() -> None:
    stream = Stream("BTC/USD", **PLAIN)
    stream.tick(100.0, symbol="BTC/USD")
    event = stream.update(101.0, symbol="btc/usd")
    assert event.last_price == 100.0
    stream.board.track(["btc/usd", " BTC/USD "])
    assert list(stream.board.by_symbol) == ["BTC/USD"]


def test_a_replay_takes_symbols_as_they_come() -> None:
    stream = Stream(adopt=True)
    stream.tick(100.0, symbol="NEW")
    (event, *_) = stream.tick(101.0, symbol="new")
    assert event["symbol"] == "NEW"
    assert event["last_price"] == 100.0
    assert stream.rejections == []


# --- whole numbers, and the time a tick takes


def test_a_whole_number_is_a_price() -> None:
    stream = Stream()
    stream.tick(100)
    event = stream.update(101)
    assert (event.price, event.change, event.change_percent) == (101.0, 1.0, 1.0)
    assert type(event.price) is float
    assert b'"price":101.0' in to_json(event)


def test_one_tick_in_so_many_is_timed_from_receipt_to_its_last_listener() -> None:
    clock = ManualClock()
    stream = Stream()
    engine = StreamEngine(StreamSettings(), stream.dispatcher, clock=clock)
    engine.board.track(["AAPL"])
    for number in range(2 * SAMPLE):
        engine.on_tick(Tick("AAPL", 100.0, clock.now, clock.now - 0.002 * (number % 2)))
    assert sum(engine.dispatch_seconds.counts) == 2
    assert engine.dispatch_seconds.total == pytest.approx(0.004)


def test_without_a_clock_nothing_is_timed() -> None:
    stream = Stream()
    for _ in range(SAMPLE):
        stream.tick(100.0)
    assert stream.engine.dispatch_seconds.total == 0.0
