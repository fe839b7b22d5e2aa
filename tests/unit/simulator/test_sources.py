"""Sources give the wanted ticks, in order, and say when there are no more."""

import random
from collections import Counter
from pathlib import Path

import pytest

from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.simulator.dialects import create, dialect_names
from pricestreamd.simulator.market import Dice, Market
from pricestreamd.simulator.scenarios import STEADY
from pricestreamd.simulator.sources import FileSource, SyntheticSource, UnevenSource
from pricestreamd.simulator.strip import Wanted
from pricestreamd.simulator.twelvedata import TwelveData


def wanted(*keys: str) -> Wanted:
    return Wanted([TwelveData()], keys)


def synthetic(seed: int = 0) -> SyntheticSource:
    return SyntheticSource(Market(lambda symbol: random.Random(f"{seed}/{symbol}").random))


def taken(source: FileSource, count: int, *keys: str) -> list[float]:
    return [tick.price for tick in source.take(count, keys, wanted(*keys), 0.0)]


def test_synthetic_ticks_come_from_one_symbol_after_the_other() -> None:
    source, keys = synthetic(), ("A", "B", "C")
    symbols = [tick.symbol for count in (1, 4, 3) for tick in source.take(count, keys, wanted(*keys), 5.0)]
    assert symbols == ["A", "B", "C", "A", "B", "C", "A", "B"]


def test_synthetic_ticks_are_made_now_and_have_a_size() -> None:
    [tick] = synthetic().take(1, ("A",), wanted("A"), 5.0)
    assert (tick.timestamp, tick.received_at) == (5.0, 5.0)
    assert tick.volume is not None
    assert tick.volume >= 1


def test_the_same_seed_gives_the_same_ticks_however_they_are_taken() -> None:
    keys = ("A", "B", "C")
    first, second = synthetic(), synthetic()
    together = first.take(600, keys, wanted(*keys), 1.0)
    assert together == [tick for _ in range(200) for tick in second.take(3, keys, wanted(*keys), 1.0)]
    assert together != synthetic(seed=1).take(600, keys, wanted(*keys), 1.0)


def test_nothing_wanted_is_nothing_made() -> None:
    assert synthetic().take(10, (), wanted(), 1.0) == []


def test_a_file_gives_the_wanted_symbols_only_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n" + "".join(f"{n},{'ABC'[n % 3]},{n + 1}\n" for n in range(30_000)))
    source = FileSource([path])
    read: list[float] = []
    while not source.exhausted:
        batch = taken(source, 512, "A", "C")
        assert len(batch) <= 512
        read += batch
    assert read == [n + 1 for n in range(30_000) if n % 3 != 1]
    assert taken(source, 512, "A") == []


def test_a_file_is_taken_tick_by_tick_from_the_first_on(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1,A,1\n2,A,2\n3,A,3\n")
    source = FileSource([path])
    assert [taken(source, 1, "A") for _ in range(3)] == [[1], [2], [3]]
    assert not source.exhausted
    assert taken(source, 1, "A") == []
    assert source.exhausted


def test_rows_without_a_usable_price_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1,A,1\n2,A,nan\n3,A,-1\n4,A,abc\n5,,1\n6,A,inf\n7,A,2\n")
    source = FileSource([path])
    assert taken(source, 10, "A") == [1, 2]
    assert source.unusable == 5


def test_a_file_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1,A\n")
    with pytest.raises(ReplayInputError, match=":2: 2 fields"):
        FileSource([path])
    with pytest.raises(ReplayInputError, match="cannot be read"):
        FileSource([tmp_path / "nowhere.csv"])


def test_an_empty_file_is_exhausted_when_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n")
    source = FileSource([path])
    assert taken(source, 1, "A") == []
    assert source.exhausted


def test_symbols_of_a_file_are_wanted_by_what_they_name() -> None:
    listening = wanted("AAPL", "RY:TSX")
    assert listening["aapl"]
    assert listening["AAPL:NASDAQ"]
    assert listening["RY:XTSE"]
    assert not listening["RY"]
    assert not listening["A B"]
    assert Wanted([TwelveData()], None)["RY"]
    assert not Wanted([TwelveData()], None)["A B"]


def test_a_provider_without_a_dialect_is_an_error_that_names_those_with_one() -> None:
    assert dialect_names() == ("twelvedata", "binance", "iex", "alphavantage", "generic")
    with pytest.raises(ValueError, match="no simulator for provider 'nyse'; there is one for twelvedata, binance"):
        create("nyse", STEADY)


def uneven(seed: int = 0) -> UnevenSource:
    def dice(symbol: str) -> Dice:
        return random.Random(f"{seed}/{symbol}").random

    return UnevenSource(Market(dice), dice, dice("die"))


def test_of_uneven_rates_each_symbol_has_its_own_and_always_the_same_share() -> None:
    keys = tuple(f"S{number}" for number in range(500))
    counts = Counter(tick.symbol for tick in uneven().take(200_000, keys, wanted(*keys), 1.0))
    assert len(counts) == 500
    assert counts.most_common(1)[0][1] > 10 * counts.most_common()[-1][1]
    again = Counter(tick.symbol for tick in uneven(seed=0).take(200_000, keys, wanted(*keys), 1.0))
    other = Counter(tick.symbol for tick in uneven(seed=1).take(200_000, keys, wanted(*keys), 1.0))
    assert counts == again != other
    assert uneven().take(5, (), wanted(), 1.0) == []


def test_the_price_as_it_stands_is_the_last_one_that_was_told() -> None:
    source, keys = synthetic(), ("A", "B")
    ticks = source.take(10, keys, wanted(*keys), 5.0)
    assert source.last("A", TwelveData().key, 6.0).price == ticks[-2].price
    assert source.last("B", TwelveData().key, 6.0).price == ticks[-1].price


def test_a_walk_that_nobody_follows_moves_when_it_is_asked_after_a_while() -> None:
    source = synthetic()
    prices = [source.last("BTC/USD", TwelveData().key, at).price for at in (1.0, 1.1, 1.2, 5.0, 9.0)]
    assert prices[0] == prices[1] == prices[2]
    assert len(set(prices)) == 3


def test_a_file_stands_where_it_has_been_played_to(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1,A,1\n2,B,5\n3,aapl,3\n4,A,4\n")
    source = FileSource([path])
    assert source.last("A", TwelveData().key, 0.0) is None
    taken(source, 3, "A", "AAPL")
    last = source.last("A", TwelveData().key, 0.0)
    assert last is not None
    assert last.price == 4
    found = source.last("AAPL", TwelveData().key, 0.0)
    assert found is not None
    assert found.price == 3


def test_looking_ahead_in_a_file_takes_nothing_from_it(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_text("ts_ms,symbol,price\n1,A,1\n2,B,5\n3,A,3\n4,C,4\n")
    source = FileSource([path])
    found = source.seek("C", wanted("C"))
    assert found is not None
    assert found.price == 4
    assert source.seek("NONE", wanted("NONE")) is None
    assert source.seek("C", wanted("C")) is None  # it was looked for once
    assert taken(source, 10, "A", "B", "C") == [1, 5, 3, 4]
