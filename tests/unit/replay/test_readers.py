"""Ticks from CSV files: columns, units, merging, and what is rejected or refused."""

import gzip
import math
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.replay.csv_texts import mid, read_time
from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.replay.readers import read_ticks


def write(folder: Path, text: str, name: str = "ticks.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def ticks(folder: Path, text: str, **options: object) -> list[Tick]:
    return list(read_ticks([write(folder, text)], **options))  # type: ignore[arg-type] # the tests' own options


def prices(read: Iterable[Tick]) -> list[float]:
    return [tick.price for tick in read]


def test_a_tick_has_the_time_of_its_row_twice_and_the_feed_replay(tmp_path: Path) -> None:
    [tick] = ticks(tmp_path, "ts_ms,symbol,price,size\n1381132800464,SPY,167.41,100\n")
    assert tick == Tick("SPY", 167.41, 1381132800.464, 1381132800.464, 100.0, None, "replay")


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("ts_ms,symbol,price", "1500,A,2.5", (1.5, 2.5, None)),
        ("timestamp,symbol,price", "1.5,A,2.5", (1.5, 2.5, None)),
        ("timestamp,symbol,price", "1381132800,A,2.5", (1381132800.0, 2.5, None)),
        ("ts_ms,symbol,price", "1500.25,A,2.5", (1.50025, 2.5, None)),
        ("ts_ms,symbol,price", "1.5e3,A,2.5", (1.5, 2.5, None)),
        ("price,volume,symbol,timestamp", "2.5,7,A,1.5", (1.5, 2.5, 7.0)),
        ("Price, Size ,SYMBOL,Timestamp", "2.5,7,A,1.5", (1.5, 2.5, 7.0)),
        ("ts_ms,timestamp,symbol,price", "1500,99,A,2.5", (1.5, 2.5, None)),
        ("ts_ms,symbol,price,volume,size", "1500,A,2.5,8,7", (1.5, 2.5, 7.0)),
        ("ts_ms,symbol,bid,ask", "1500,A,2,3", (1.5, 2.5, None)),
        ("ts_ms,symbol,bid,price,ask", "1500,A,2,9,3", (1.5, 9.0, None)),
        ("ts_ms,symbol,price,size", "1500,A,2.5,", (1.5, 2.5, None)),
        ("ts_ms,symbol,price,side,exchange", "1500,A,2.5,sell,P", (1.5, 2.5, None)),
        ("ts_ms,symbol,price", "1500,A,0.00001234", (1.5, 0.00001234, None)),
        ("ts_ms,symbol,price", "1500,A, 2.5 ", (1.5, 2.5, None)),
        ("ts_ms,symbol,price", "-1500,A,2.5", (-1.5, 2.5, None)),
    ],
)
def test_columns_stand_in_any_order_and_units_are_those_of_their_names(
    tmp_path: Path, header: str, row: str, expected: tuple[float, float, float | None]
) -> None:
    [tick] = ticks(tmp_path, f"{header}\n{row}\n")
    assert (tick.timestamp, tick.price, tick.volume) == expected


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.csv.gz"])
def test_plain_and_gzip_files_give_the_same_ticks(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "ts_ms,symbol,price\n1,A,1\n2,B,2", name)
    assert [(tick.symbol, tick.price) for tick in read_ticks([path])] == [("A", 1.0), ("B", 2.0)]


def test_quoted_fields_and_blank_lines_are_read_as_csv_means_them(tmp_path: Path) -> None:
    text = 'ts_ms,symbol,price,note\n1,A,1,x\n\n2,"B",2,"said ""so"", twice"\n\n3,"A","3","a\nline"\n4,A,4,\n'
    assert [(tick.symbol, tick.price) for tick in ticks(tmp_path, text)] == [("A", 1), ("B", 2), ("A", 3), ("A", 4)]


def test_a_symbol_keeps_the_spelling_that_came_first(tmp_path: Path) -> None:
    read = ticks(tmp_path, "ts_ms,symbol,price\n1,btc/usd,1\n2,BTC/USD,2\n3, Btc/Usd ,3\n")
    assert {tick.symbol for tick in read} == {"btc/usd"}


def test_a_file_in_no_order_is_given_as_it_is(tmp_path: Path) -> None:
    assert prices(ticks(tmp_path, "ts_ms,symbol,price\n3,A,1\n1,A,2\n2,A,3\n")) == [1, 2, 3]


def test_several_files_are_merged_by_time_and_equal_times_keep_the_order_of_the_files(tmp_path: Path) -> None:
    first = write(tmp_path, "ts_ms,symbol,price\n1000,A,1\n2000,A,2\n2000,A,3\n5000,A,4\n", "first.csv")
    second = write(tmp_path, "timestamp,symbol,bid,ask\n2,B,4,6\n3,B,5,7\n", "second.csv.gz")
    assert prices(read_ticks([first, second])) == [1, 2, 3, 5, 6, 4]
    assert prices(read_ticks([second, first])) == [1, 5, 2, 3, 6, 4]


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (None, [1, 2, 3]),
        ("btc/*", [1, 2]),
        (["BTC/USD", "aapl"], [1, 3]),
        (["*/EUR", "AAPL"], [2, 3]),
        ([], []),
        ("MSFT", []),
    ],
)
def test_symbols_picks_by_name_or_glob_ignoring_case(
    tmp_path: Path, symbols: str | list[str] | None, expected: list[float]
) -> None:
    text = "ts_ms,symbol,price\n1,BTC/USD,1\n2,BTC/EUR,2\n3,AAPL,3\n"
    assert prices(ticks(tmp_path, text, symbols=symbols)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no header"),
        ("\n1,A,1\n", "no header"),
        ("ts_ms,symbol\n", r"ticks\.csv:1: no column price \(or bid and ask\)"),
        ("ts_ms,symbol,bid\n", r"no column price \(or bid and ask\)"),
        ("time,ticker,price\n", "no column ts_ms or timestamp, no column symbol: the header is 'time,ticker,price'"),
        ("ts_ms,symbol,price,price\n", "column price is there twice"),
        ('ts_ms,"symbol,price\n', "no column"),
        ("ts_ms,symbol,price\r1,A,1\r", "the header is not CSV"),
        ("1381132800464,SPY,167.41\n", "no column"),
    ],
)
def test_a_header_that_will_not_do_is_refused_before_the_first_tick(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ReplayInputError, match=words):
        read_ticks([write(tmp_path, text)])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,A", "2 fields where the header has 4"),
        ("1,A,1,234.5,100", "5 fields where the header has 4"),
        (",A,1,1", "the time '' is not a number of UTC epoch milliseconds"),
        ("noon,A,1,1", "the time 'noon' is not a number"),
        ("nan,A,1,1", "the time 'nan' is not a number"),
        ("2013-10-07T08:00:00Z,A,1,1", "is not a number"),
        ("9" * 400 + ",A,1,1", "outside the years 1 to 9999"),
        ("-99999999999999999,A,1,1", "outside the years 1 to 9999"),
        ("1,A,1,many", "the size 'many' is not a number of 0 or more"),
        ("1,A,1,-5", "the size '-5' is not a number of 0 or more"),
        ("1,A,1,nan", "the size 'nan' is not a number"),
        ("1,A,1,1e999", "the size '1e999' is not a number"),
        ('1,"A,1,1', "not CSV"),
        ('1,"A"B,1,1', "not CSV"),
    ],
)
@pytest.mark.parametrize("before", ["", "1,A,1,1\n" * 3, '1,"A",1,1\n' * 3, "1,A,1,1\n\n" * 2])
def test_a_broken_row_is_an_error_with_file_line_and_remedy(tmp_path: Path, row: str, words: str, before: str) -> None:
    path = write(tmp_path, f"ts_ms,symbol,price,size\n{before}{row}\n")
    with pytest.raises(ReplayInputError, match=words) as caught:
        list(read_ticks([path], on_reject=lambda *_: None))
    assert caught.value.line == 2 + before.count("\n")
    assert str(caught.value).startswith(f"{path}:{caught.value.line}: ")
    assert str(caught.value).endswith("correct or remove the line")


def test_the_line_of_an_error_is_right_far_into_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "ts_ms,symbol,price\n" + "1,A,1\n" * 200_000 + "1,A\n" + "1,A,1\n" * 10, "ticks.csv.gz")
    with pytest.raises(ReplayInputError, match=r"ticks\.csv\.gz:200002: 2 fields"):
        list(read_ticks([path]))


def test_seconds_where_milliseconds_were_meant_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ReplayInputError, match=r"milliseconds belong in a column ts_ms"):
        ticks(tmp_path, "timestamp,symbol,price\n1381132800464,A,1\n")


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("", "missing"),
        ("  ", "missing"),
        ("abc", "type"),
        ("1_000", "type"),
        ("+5", "type"),
        ("5.", "type"),
        (".5", "type"),
        ("0x10", "type"),
        ("\u0661\u0662", "type"),
        ("true", "type"),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_price_that_is_no_number_is_a_rejected_tick_with_its_place(
    tmp_path: Path, price: str, reason: str, quoted: bool
) -> None:
    cell = f'"{price}"' if quoted else price
    path = write(tmp_path, f"ts_ms,symbol,price\n1,A,1\n2,A,{cell}\n3,A,{cell}\n4,A,4\n")
    rejected: list[tuple[str, str]] = []
    read = list(read_ticks([path], on_reject=lambda *told: rejected.append(told)))
    assert prices(read) == [1, 4]
    assert rejected == [(reason, f"{path}:3"), (reason, f"{path}:4")]


def test_a_symbol_that_is_missing_is_a_rejected_tick(tmp_path: Path) -> None:
    rejected: list[str] = []
    read = ticks(tmp_path, "ts_ms,symbol,price\n1,,1\n2,A,2\n", on_reject=lambda reason, _: rejected.append(reason))
    assert prices(read) == [2]
    assert rejected == ["missing"]


def test_without_a_counter_a_row_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReplayInputError, match=r"ticks\.csv:2: .*cannot be read \(type\)"):
        ticks(tmp_path, "ts_ms,symbol,price\n1,A,abc\n")


@pytest.mark.parametrize("price", ["nan", "NaN", "inf", "-Infinity", "0", "-1.5", "1e400"])
def test_a_number_that_cannot_be_a_price_is_left_to_the_stream(tmp_path: Path, price: str) -> None:
    [tick] = ticks(tmp_path, f"ts_ms,symbol,price\n1,A,{price}\n")
    assert not 0 < tick.price < math.inf


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [(2.0, 3.0, 2.5), (-1.0, 3.0, -1.0), (3.0, 0.0, 0.0), (math.nan, 1.0, math.nan), (1.0, math.nan, math.nan)],
)
def test_a_quote_with_a_side_that_is_no_price_is_no_price(bid: float, ask: float, expected: float) -> None:
    assert mid(bid, ask) == pytest.approx(expected, nan_ok=True)


def test_rows_of_symbols_that_are_not_wanted_are_not_looked_into(tmp_path: Path) -> None:
    rejected: list[object] = []
    text = "ts_ms,symbol,price,size\n1,A,1,1\n2,B,abc,many\n2,B,,\n3,A,3,1\n"
    assert prices(ticks(tmp_path, text, symbols="A", on_reject=lambda *told: rejected.append(told))) == [1, 3]
    assert rejected == []


def test_more_distinct_prices_than_are_remembered_are_read_just_the_same(tmp_path: Path) -> None:
    count = 70_000
    text = "ts_ms,symbol,price,size\n" + "".join(f"{n},A,{n}.5,{n}\n" for n in range(1, count))
    read = ticks(tmp_path, text)
    assert [tick.price for tick in read] == [n + 0.5 for n in range(1, count)]
    assert [tick.volume for tick in read] == [float(n) for n in range(1, count)]


def test_progress_counts_the_bytes_of_all_files(tmp_path: Path) -> None:
    paths = [write(tmp_path, "ts_ms,symbol,price\n" + f"{n},A,1\n" * 20_000, f"{n}.csv") for n in (1, 2)]
    told: list[int] = []
    list(read_ticks(paths, progress=told.append))
    assert told == sorted(told)
    assert told[-1] == sum(path.stat().st_size for path in paths)


def test_a_reader_that_is_left_early_closes_its_files(tmp_path: Path) -> None:
    paths = [write(tmp_path, "ts_ms,symbol,price\n" + "1,A,1\n" * 50_000, f"{n}.csv") for n in (1, 2)]
    for chosen in (paths[:1], paths):
        reader = read_ticks(chosen)
        next(reader)
        del reader  # an unclosed file would be a ResourceWarning, which is an error here


@given(st.integers(-62_135_596_800_000, 253_402_300_799_000))
def test_a_time_in_milliseconds_is_the_nearest_double_of_its_seconds(milliseconds: int) -> None:
    assert read_time(str(milliseconds), 1000) == milliseconds / 1000
    sign, digits = ("-", str(-milliseconds)) if milliseconds < 0 else ("", str(milliseconds))
    padded = digits.rjust(4, "0")
    assert read_time(f"{sign}{padded[:-3]}.{padded[-3:]}", 1) == milliseconds / 1000


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6), st.sampled_from("ABC"), st.decimals("0.01", 1000, places=2), st.integers(0, 99)
        ),
        max_size=30,
    ),
    st.permutations(["ts_ms", "symbol", "price", "size"]),
)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str, object, int]], order: list[str]
) -> None:
    cells = [dict(zip(["ts_ms", "symbol", "price", "size"], map(str, row), strict=True)) for row in rows]
    text = "\n".join([",".join(order), *(",".join(row[name] for name in order) for row in cells)])
    read = ticks(tmp_path_factory.mktemp("files"), text)
    assert [(tick.timestamp, tick.symbol, tick.price, tick.volume) for tick in read] == [
        (int(row["ts_ms"]) / 1000, row["symbol"], float(row["price"]), float(row["size"])) for row in cells
    ]
