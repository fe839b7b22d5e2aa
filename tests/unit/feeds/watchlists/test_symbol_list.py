"""What a list of symbols from outside may be, and when it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.config.forms import FORMS
from pricestreamd.feeds.watchlists.symbol_list import (
    MAX_BYTES,
    MAX_LENGTH,
    MAX_SYMBOLS,
    LastList,
    UnreadableListError,
    symbols_of_column,
    symbols_of_text,
)
from pricestreamd.model.tick import symbol_key


@pytest.mark.parametrize(
    ("data", "symbols"),
    [
        (b"", ()),
        (b"\n \n\t\n", ()),
        (b"AAPL\nMSFT\n", ("AAPL", "MSFT")),
        (b"AAPL\nMSFT", ("AAPL", "MSFT")),
        (b"AAPL\r\nMSFT\r\n", ("AAPL", "MSFT")),
        (b"AAPL\rMSFT", ("AAPL", "MSFT")),
        (b"\xef\xbb\xbfAAPL\nMSFT\n", ("AAPL", "MSFT")),
        (b"\xef\xbb\xbf", ()),
        (b"# shares\nAAPL\n  # more\nMSFT # why\n#\n", ("AAPL", "MSFT")),
        (b"ES#F\n", ("ES#F",)),
        (b"  AAPL\t\n", ("AAPL",)),
        (b"MSFT\naapl\nAAPL\nmsft\n", ("MSFT", "aapl")),
        (b"BTC/USD\nBRK.B\nBRK B\n600519\nTRUE\n", ("BTC/USD", "BRK.B", "BRK B", "600519", "TRUE")),
        ("Ä\n株式\n".encode(), ("Ä", "株式")),
        (b"A" * MAX_LENGTH, ("A" * MAX_LENGTH,)),
    ],
)
def test_a_text_has_one_symbol_a_line(data: bytes, symbols: tuple[str, ...]) -> None:
    assert symbols_of_text(data) == symbols


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"AAPL\n\xff\xfe\n", "line 2: not UTF-8 text"),
        (b"\xef\xbb\xbfA\nB\n\xff", "line 3: not UTF-8 text"),
        ("AAPL\nMSFT".encode("utf-16"), "line 1: not UTF-8 text"),
        (b"AAPL\nMS\0FT\n", "line 2: a symbol has no control characters, got 'MS\\x00FT'"),
        ("AAPL\nA\u2028B\n".encode(), "line 2: a symbol has no control characters, got 'A\\u2028B'"),
        (b"\n" + b"A" * (MAX_LENGTH + 1), f"line 2: a symbol has at most 128 characters, got '{'A' * 40}'..."),
        (b"\n" * (MAX_BYTES + 1), "larger than 1024 KiB"),
        (b"".join(b"S%d\n" % n for n in range(MAX_SYMBOLS + 1)), "more than 10,000 symbols"),
    ],
)
def test_what_is_no_list_of_symbols_is_refused_with_its_place(data: bytes, told: str) -> None:
    with pytest.raises(UnreadableListError) as refused:
        symbols_of_text(data)
    assert str(refused.value) == told


def test_as_many_symbols_as_are_allowed_are_taken_however_often_each_is_written() -> None:
    text = b"".join(b"S%d\n" % n for n in range(MAX_SYMBOLS))
    assert len(symbols_of_text(text + text)) == MAX_SYMBOLS


def test_a_column_holds_texts() -> None:
    assert symbols_of_column(["MSFT", None, "", "  ", " AAPL ", "msft", "a" * 10]) == ("MSFT", "AAPL", "aaaaaaaaaa")
    assert symbols_of_column([]) == ()
    assert len(symbols_of_column(f"S{n}" for n in range(MAX_SYMBOLS))) == MAX_SYMBOLS


@pytest.mark.parametrize("value", [600519, 1.5, True, b"AAPL", ["AAPL"]])
def test_a_value_that_is_no_text_is_refused_with_the_remedy(value: object) -> None:
    told = f"row 2: expected text, got {type(value).__name__}: CAST the first column AS TEXT"
    with pytest.raises(UnreadableListError, match=f"^{told}$"):
        symbols_of_column(["AAPL", value])


def test_too_many_rows_are_refused_even_if_they_repeat_one_symbol() -> None:
    # A longer answer is not fetched to its end: what comes after would be missing in silence.
    with pytest.raises(UnreadableListError, match="more than 10,000 rows: SELECT DISTINCT"):
        symbols_of_column(["AAPL"] * (MAX_SYMBOLS + 1))


@given(st.binary(max_size=300))
def test_no_bytes_whatsoever_raise_anything_else(data: bytes) -> None:
    try:
        symbols = symbols_of_text(data)
    except UnreadableListError as refused:
        symbols, told = (), str(refused)
    else:
        told = ""
    assert len(told) < 200
    assert len({symbol_key(symbol) for symbol in symbols}) == len(symbols)
    for symbol in symbols:
        assert FORMS["symbol"](symbol, symbol) is None  # what the configuration takes as a symbol
        assert symbol == symbol.strip()


SYMBOLS = st.text(min_size=1, max_size=MAX_LENGTH).filter(lambda text: FORMS["symbol"](text, text) is None)


@given(st.lists(SYMBOLS, unique_by=symbol_key))
def test_every_symbol_of_a_configuration_can_stand_in_a_column(symbols: list[str]) -> None:
    assert symbols_of_column(symbols) == tuple(symbol.strip() for symbol in symbols)


# --- the last list


def test_an_empty_list_is_believed_when_it_is_read_twice_in_a_row() -> None:
    last = LastList(("AAPL",))
    seen = [(last.take(()), last.symbols) for _ in range(2)]
    assert seen == [(False, ("AAPL",)), (True, ())]


def test_an_empty_list_between_two_others_was_one_being_written() -> None:
    last = LastList(("AAPL",))
    assert [last.take(()), last.take(("MSFT",)), last.take(())] == [False, True, False]
    assert last.symbols == ("MSFT",)


def test_a_failure_between_two_empty_lists_leaves_the_second_unbelieved() -> None:
    last = LastList(("AAPL",))
    last.take(())
    last.missed()
    assert not last.take(())
    assert last.take(())


def test_where_there_is_nothing_to_lose_an_empty_list_is_believed_at_once() -> None:
    assert LastList().take(())


@given(st.lists(st.sampled_from(["missed", "", "A", "B"]), max_size=20))
def test_symbols_are_lost_to_two_empty_readings_in_a_row_or_to_other_symbols_only(readings: list[str]) -> None:
    last, before = LastList(("Z",)), "missed"
    for reading in readings:
        held = last.symbols
        if reading == "missed":
            last.missed()
            assert last.symbols == held
        else:
            symbols = (reading,) if reading else ()
            believed = last.take(symbols)
            assert believed == (bool(reading) or not held or before == "")
            assert last.symbols == (symbols if believed else held)
        before = reading
