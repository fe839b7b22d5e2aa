"""Sources give the wanted ticks, in order, and say when there are no more."""

import random
from pathlib import Path

import pytest

from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.simulator.dialects import create, dialect_names
from pricestreamd.simulator.market import Market
from pricestreamd.simulator.player import Wanted
from pricestreamd.simulator.scenarios import STEADY
from pricestreamd.simulator.sources import FileSource, SyntheticSource
from pricestreamd.simulator.twelvedata import TwelveData


def wanted(*keys: str) -> Wanted:
    return Wanted(TwelveData(), keys)


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
    assert Wanted(TwelveData(), None)["RY"]
    assert not Wanted(TwelveData(), None)["A B"]


def test_a_provider_without_a_dialect_is_an_error_that_names_those_with_one() -> None:
    assert dialect_names() == ("twelvedata",)
    with pytest.raises(ValueError, match="no simulator for provider 'nyse'; there is one for twelvedata"):
        create("nyse", STEADY)
