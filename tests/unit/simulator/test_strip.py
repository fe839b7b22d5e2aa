"""Everybody hears of the ticks that they want, the fast way as well as the slow one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Dialect, Fields, Voice
from pricestreamd.simulator.dialects import create
from pricestreamd.simulator.framing import EVENTS, WEBSOCKET, Framing
from pricestreamd.simulator.scenarios import STEADY
from pricestreamd.simulator.strip import Handful, Strip, Wanted


class Plain(Voice):
    """Says `symbol:volume`, and counts how often it is asked."""

    fields = Fields(price="p", symbol="s")

    def __init__(self) -> None:
        self.asked = 0

    def items(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:
        self.asked += 1
        return [f"{tick.symbol}:{tick.volume:g}:{number}" for tick, number in zip(ticks, ids, strict=True)]


def strip(symbols: str, first: int = 1) -> Strip:
    ticks = [Tick(symbol, 1.0, 1.0, 1.0, float(first + n)) for n, symbol in enumerate(symbols)]
    return Strip(ticks, list(range(len(ticks))), first)


@given(st.text("ABC", max_size=12), st.sets(st.sampled_from("ABC")), st.sampled_from([WEBSOCKET, EVENTS]))
def test_the_fast_way_and_the_slow_way_say_the_same(symbols: str, keys: set[str], framing: Framing) -> None:
    wanted: Mapping[str, bool] = {symbol: symbol in keys for symbol in "ABC"}
    whole, voice = strip(symbols), Plain()
    fast, slow = whole.choose(voice, framing, wanted), Handful(list(whole.told())).choose(voice, framing, wanted)
    expected = [(n, symbol) for n, symbol in enumerate(symbols) if symbol in keys]
    if not expected:
        assert fast is None
        assert slow is None
        return
    assert fast is not None
    assert slow is not None
    assert fast.frames == slow.frames == framing.join([f"{symbol}:{n + 1}:{n}" for n, symbol in expected])
    assert list(fast.numbers) == list(slow.numbers) == [n + 1 for n, _ in expected]
    assert list(fast.symbols) == list(slow.symbols) == [symbol for _, symbol in expected]
    assert fast.count == len(expected)


def test_messages_are_made_once_for_all_who_hear_them() -> None:
    whole, voice = strip("ABCABC"), Plain()
    for wanted in ({"A": True, "B": True, "C": True}, {"A": True, "B": False, "C": False}):
        whole.choose(voice, WEBSOCKET, wanted)
    assert voice.asked == 1
    whole.choose(voice, EVENTS, {"A": True, "B": True, "C": True})
    assert voice.asked == 2


def test_a_strip_that_waits_keeps_no_ticks_but_its_messages() -> None:
    whole, voice = strip("AB"), Plain()
    made = whole.frames(voice, WEBSOCKET)
    whole.forget_ticks()
    choice = whole.choose(voice, WEBSOCKET, {"A": True, "B": True})
    assert choice is not None
    assert choice.frames == made
    assert not whole.ticks


def test_without_a_ledger_there_are_no_numbers() -> None:
    whole = Strip([Tick("A", 1.0, 1.0, 1.0, 5.0)], [1])
    for choice in (
        whole.choose(Plain(), WEBSOCKET, {"A": True}),
        Handful(list(whole.told())).choose(Plain(), WEBSOCKET, {"A": True}),
    ):
        assert choice is not None
        assert list(choice.numbers) == []


@pytest.mark.parametrize(
    ("provider", "key", "spelling", "other"),
    [
        ("twelvedata", "RY:TSX", "ry:xtse", "RY"),
        ("binance", "BTCUSDT", "btc/usdt", "BTC/USD:x"),
        ("iex", "SPY", "spy", "BTC/USD"),
        ("alphavantage", "IBM", "ibm", "BTC/USD"),
        ("generic", "BTC/USD", "btc/usd", "BTCUSD"),
    ],
)
def test_symbols_are_wanted_by_what_they_name_in_each_dialect(
    provider: str, key: str, spelling: str, other: str
) -> None:
    dialects: list[Dialect] = [create(provider, STEADY)]
    wanted = Wanted(dialects, [key])
    assert wanted[key]
    assert wanted[spelling]
    assert not wanted[other]
    assert Wanted(dialects, None)[key]


def test_a_tick_that_is_repeated_is_told_in_the_same_words() -> None:
    from pricestreamd.simulator.twelvedata import TwelveData

    voice = TwelveData().sole_voice
    first, second = Strip([Tick("AAPL", 1.0, 1.0, 1.0, 5.0), Tick("AAPL", 1.0, 1.0, 1.0, 5.0)]).told()
    handful = Handful([first, first, second, first])
    choice = handful.choose(voice, WEBSOCKET, {"AAPL": True})
    assert choice is not None
    one, again, other, late = WEBSOCKET.split(choice.frames)
    assert one == again == late != other  # the day's volume has risen
    assert choice.count == 4
    assert handful.choose(voice, WEBSOCKET, {"AAPL": True}).frames == choice.frames  # type: ignore[union-attr] # as before
