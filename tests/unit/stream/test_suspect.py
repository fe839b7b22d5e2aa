"""Suspect prints: published and flagged, they move nothing until a second print near them confirms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.events import PriceUpdate
from pricestreamd.stream.settings import StreamSettings
from tests.unit.stream.ticking import SpikeSettings, Stream, SuspectSettings


def stream_with(jump: float = 20.0, within: float = 5.0, **settings: object) -> Stream:
    """A stream of AAPL at 100, ten seconds after the epoch."""
    stream = Stream(suspect=SuspectSettings(jump_percent=jump, confirm_within=within), **settings)  # type: ignore[arg-type]  # by name
    stream.tick(100.0, 10.0)
    return stream


def suspect(stream: Stream, price: float, at: float | None = None) -> bool:
    events = stream.tick(price, at)
    assert isinstance(events[0], PriceUpdate)
    if events[0].suspect:
        assert len(events) == 1
    return events[0].suspect


@pytest.mark.parametrize(
    ("price", "doubted"), [(119.99, False), (120.0, True), (500.0, True), (80.01, False), (80.0, True), (0.01, True)]
)
def test_a_jump_of_so_many_per_cent_is_suspect(price: float, doubted: bool) -> None:
    assert suspect(stream_with(), price) is doubted


def test_a_suspect_print_is_published_as_it_is() -> None:
    stream = stream_with()
    (event,) = stream.tick(130.0, 11.0, volume=5.0)
    assert isinstance(event, PriceUpdate)
    assert (event.suspect, event.price, event.volume) == (True, 130.0, 5.0)
    assert (event.last_price, event.change, event.change_percent) == (100.0, 30.0, 30.0)
    assert (event.sequence, event.number) == (2, 2)
    assert stream.dispatcher.event_counts == {"price.update": 2}


def test_a_suspect_print_moves_nothing() -> None:
    stream = stream_with(spike=SpikeSettings(percent=5.0, window=60.0), change_baseline="reported")
    stream.set_alert(above=110, below=90, change_percent=5)
    assert suspect(stream, 130.0)
    state = stream.board.state("AAPL")
    assert state is not None
    assert (state.price, state.timestamp, state.updates) == (100.0, 10.0, 1)
    assert state.tick is not None
    assert state.tick.price == 100.0
    assert [entry["price"] for entry in stream.board.history("AAPL")] == [100.0]
    assert stream.engine.alerts_fired == 0
    event = stream.update(100.5)
    assert (event.last_price, event.change, event.suspect) == (100.0, 0.5, False)
    assert set(stream.dispatcher.event_counts) == {"price.update", "price.change"}


def test_a_bad_time_on_a_suspect_print_makes_later_ticks_no_late_ones() -> None:
    stream = stream_with()
    assert suspect(stream, 130.0, 9999.0)
    assert not suspect(stream, 100.5, 11.0)
    assert stream.rejections == []


def test_a_second_print_near_it_in_time_is_believed_and_wakes_everything() -> None:
    stream = stream_with()
    stream.set_alert(above=110)
    assert suspect(stream, 130.0, 11.0)
    events = stream.tick(131.0, 16.0)
    assert [event.event for event in events] == ["price.update", "price.change", "price.spike", "price.alert"]
    assert (events[0]["suspect"], events[0]["last_price"], events[0]["change"]) == (False, 100.0, 31.0)
    assert not suspect(stream, 132.0)


@pytest.mark.parametrize(
    ("second", "near"), [(130.0, True), (137.5, True), (137.6, False), (122.5, True), (122.4, False), (160.0, False)]
)
def test_near_is_within_a_quarter_of_the_jump(second: float, near: bool) -> None:
    stream = stream_with()
    assert suspect(stream, 130.0)
    assert suspect(stream, second) is not near


def test_a_print_back_at_the_market_clears_the_suspicion() -> None:
    stream = stream_with()
    assert suspect(stream, 130.0)
    assert not suspect(stream, 100.1)
    assert suspect(stream, 130.0), "each bad print between good ones is suspect"
    assert not suspect(stream, 100.2)
    assert suspect(stream, 130.0)
    assert not suspect(stream, 130.0)


def test_a_smaller_move_near_the_suspect_print_confirms_it_and_a_late_one_is_a_move_of_its_own() -> None:
    for at in (12.0, 99.0):
        stream = stream_with()
        assert suspect(stream, 120.0, 11.0)
        assert not suspect(stream, 119.0, at)
        assert stream.update(119.5, at + 1).last_price == 119.0


def test_later_than_in_time_it_takes_a_third_print() -> None:
    stream = stream_with(within=5.0)
    assert suspect(stream, 130.0, 11.0)
    assert suspect(stream, 130.0, 16.001)
    assert not suspect(stream, 130.0, 1000.0)


def test_a_symbol_that_ticks_rarely_is_not_doubted_for_ever() -> None:
    stream = stream_with()
    doubted = [suspect(stream, 130.0 + n / 10, 3600.0 * (n + 1)) for n in range(5)]
    assert doubted == [True, True, False, False, False]


def test_two_levels_in_turn_are_confirmed_by_their_second_print() -> None:
    stream = stream_with()
    assert [suspect(stream, price) for price in (130.0, 160.0, 130.5, 130.0)] == [True, True, False, False]


def test_a_symbol_that_jumps_about_is_not_doubted_for_ever() -> None:
    stream = stream_with(jump=1.0)
    wild = [100.0 * 1.5**n for n in range(1, 20)]
    doubted = [suspect(stream, price, 100.0 * n) for n, price in enumerate(wild, 1)]
    assert doubted[:9] == [True] * 8 + [False]


@given(st.lists(st.floats(0.01, 1e6), min_size=30, max_size=30), st.floats(0.1, 100))
def test_no_symbol_is_doubted_for_ever(prices: list[float], pause: float) -> None:
    stream = stream_with()
    doubted = [suspect(stream, price, 10.0 + pause * n) for n, price in enumerate(prices, 1)]
    assert "1" * 9 not in "".join(str(int(one)) for one in doubted)


def test_the_first_tick_is_never_suspect() -> None:
    stream = Stream()
    assert not stream.update(1_000_000.0).suspect


def test_each_symbol_is_doubted_by_itself() -> None:
    stream = stream_with()
    stream.board.track(["MSFT"])
    stream.tick(100.0, symbol="MSFT")
    assert suspect(stream, 130.0)
    (event,) = stream.tick(130.0, symbol="MSFT")
    assert event["suspect"]


def test_the_guard_can_be_off() -> None:
    stream = Stream(suspect=None)
    stream.tick(100.0)
    assert not stream.update(100_000.0).suspect


def test_the_guard_can_be_switched_off_and_on_again() -> None:
    stream = stream_with()
    assert suspect(stream, 130.0)
    stream.engine.apply(StreamSettings(suspect=None))
    assert not suspect(stream, 200.0)
    stream.engine.apply(StreamSettings())
    assert suspect(stream, 130.0), "what was doubted before is forgotten"
    assert not suspect(stream, 130.0)


@pytest.mark.parametrize(
    ("jump", "minimum", "spike"), [(1.0, 50.0, 50.0), (50.0, 1.0, 50.0), (50.0, 50.0, 1.0), (0.5, 0.0, 0.5)]
)
def test_the_guard_does_not_depend_on_what_counts_as_a_change_or_spike(
    jump: float, minimum: float, spike: float
) -> None:
    stream = stream_with(jump=jump, min_change_percent=minimum, spike=SpikeSettings(percent=spike))
    assert not suspect(stream, 100.0 * (1 + jump / 100) - 0.001)
    last = stream.board.by_symbol["AAPL"].price
    assert last is not None
    assert suspect(stream, last * (1 + jump / 100) + 0.001)


def test_a_wider_quiet_zone_hides_no_confirmation() -> None:
    """Where nothing below 20 % counts, a print 17 % away is still near one of 20 %."""
    stream = stream_with(min_change_percent=20.0, spike=SpikeSettings(percent=20.0))
    assert suspect(stream, 120.0)
    assert not suspect(stream, 117.0)
    assert stream.update(117.5).last_price == 117.0


def test_where_late_ticks_are_accepted_an_earlier_receipt_confirms_nothing() -> None:
    stream = stream_with(out_of_order="accept")
    assert suspect(stream, 130.0, 20.0)
    assert suspect(stream, 130.0, 15.0)
    assert not suspect(stream, 130.0, 14.0)
