"""The symbol table finds the configured spelling, or says that nobody can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.providers.symbols import SymbolTable
from pricestreamd.providers.twelvedata import TwelveData


def table(*symbols: str) -> SymbolTable:
    made = SymbolTable(TwelveData.split_symbol)
    for symbol in symbols:
        made.add(symbol)
    return made


@pytest.mark.parametrize(
    ("wanted", "native", "venues", "expected"),
    [
        (["AAPL"], "AAPL", (), "AAPL"),
        (["aapl"], "AAPL", (), "aapl"),
        (["AAPL"], "  aapl ", (), "AAPL"),
        (["AAPL"], "MSFT", (), None),
        (["AAPL"], "", (), None),
        (["BTC/USD:Huobi"], "BTC/USD", ("Huobi",), "BTC/USD:Huobi"),
        (["RY:TSX"], "RY", (), "RY:TSX"),
        (["RY:TSX"], "RY", ("TSX",), "RY:TSX"),
        (["RY:TSX"], "RY:TSX", (), "RY:TSX"),
        # The only one that was ever asked for, whatever the provider calls its exchange.
        (["AAPL:XNAS"], "AAPL", ("NASDAQ", "XNGS"), "AAPL:XNAS"),
        (["TINS"], "TINS:IDX", (), "TINS"),
        # Two of one base: the venue decides.
        (["RY", "RY:TSX"], "RY", ("TSX", "XTSE"), "RY:TSX"),
        (["RY", "RY:TSX"], "RY", ("NYSE", "XNYS"), "RY"),
        (["RY", "RY:TSX"], "RY", (), "RY"),
        (["RY:XTSE", "RY"], "RY", ("TSX", "XTSE"), "RY:XTSE"),
        (["RY:TSX", "RY:NYSE"], "RY", ("nyse",), "RY:NYSE"),
        (["RY:TSX", "RY:NYSE"], "RY", (), None),
        (["RY:TSX", "RY:NYSE"], "RY", ("LSE",), None),
        (["RY:TSX", "RY:NYSE"], "RY:LSE", (), None),
    ],
)
def test_a_native_symbol_finds_its_configured_spelling(
    wanted: list[str], native: str, venues: tuple[str, ...], expected: str | None
) -> None:
    made = table(*wanted)
    assert made.resolve(native, venues) == expected
    # The fast way may not know, but it never says something else.
    assert made.lookup(native) in (expected, None)


def test_a_clear_symbol_is_found_the_fast_way_and_an_ambiguous_one_is_not() -> None:
    made = table("AAPL", "RY:TSX")
    assert (made.lookup("AAPL"), made.lookup("RY"), made.lookup("RY:TSX")) == ("AAPL", "RY:TSX", "RY:TSX")
    made.add("RY")
    assert made.lookup("RY") is None
    assert made.lookup("RY:TSX") == "RY:TSX"


def test_an_odd_spelling_is_remembered_until_the_symbols_change() -> None:
    made = table("AAPL")
    assert made.lookup("aapl ") is None
    assert made.resolve("aapl ") == "AAPL"
    assert made.lookup("aapl ") == "AAPL"
    made.remove("AAPL")
    assert made.lookup("aapl ") is None
    assert made.resolve("aapl ") is None


def test_odd_spellings_do_not_grow_without_bound() -> None:
    made = table("AAPL")
    for before in range(50):
        for after in range(50):
            assert made.resolve(" " * before + "aapl" + " " * after) == "AAPL"
    assert len(made._clear) <= 1001
    assert made.resolve(" " * 10_000 + "AAPL") == "AAPL"
    assert max(map(len, made._clear)) <= 64


def test_a_late_price_of_a_symbol_given_up_is_not_taken_for_its_sibling() -> None:
    made = table("RY", "RY:TSX")
    made.remove("RY")
    assert made.lookup("RY") is None
    assert made.resolve("RY", ("NYSE",)) is None
    assert made.resolve("RY", ("TSX",)) == "RY:TSX"
    made.remove("RY:TSX")
    made.add("RY")
    assert made.resolve("RY", ("TSX",)) is None
    assert made.resolve("RY", ("NYSE",)) == "RY"


def test_a_symbol_wanted_again_has_its_new_spelling() -> None:
    made = table("aapl")
    made.add("AAPL")
    assert list(made) == ["aapl"]
    made.remove("Aapl")
    assert "AAPL" not in made
    made.add(" AAPL ")
    assert list(made) == ["AAPL"]
    assert made.lookup("AAPL") == "AAPL"


def test_an_acknowledgement_teaches_the_names_of_a_venue() -> None:
    made = table("RY:XTSE", "RY:XNYS")
    assert made.acknowledged("RY", ("TSX", "XTSE")) == ("RY:XTSE",)
    assert made.resolve("RY", ("TSX",)) == "RY:XTSE"
    assert made.resolve("RY", ("NYSE",)) is None


def test_a_price_of_another_market_is_unknown_once_the_names_of_the_wanted_one_are_known() -> None:
    made = table("RY:TSX", "AAPL")
    assert made.lookup("RY") == made.resolve("RY", ("NYSE", "XNYS")) == "RY:TSX"
    assert made.resolve_venues("RY", ("NYSE", "XNYS")) == "RY:TSX"
    assert made.acknowledged("RY", ("Toronto", "XTSE")) == ("RY:TSX",)
    for find in (made.resolve, made.resolve_venues):
        assert find("RY", ("NYSE", "XNYS")) is None
        assert find("RY:NYSE", ()) is None
        # What was configured, what was acknowledged, and what names no market at all.
        assert find("RY", ("tsx",)) == find("RY", ("XTSE",)) == find("RY", ()) == find("RY:TSX", ()) == "RY:TSX"
    # The fast way leaves it to the careful one.
    assert made.lookup("RY") is None
    # Who asked for no market takes what the provider sends.
    assert made.acknowledged("AAPL", ("NASDAQ", "XNGS")) == ("AAPL",)
    assert made.lookup("AAPL") == made.resolve("AAPL", ("LSE",)) == "AAPL"


def test_what_was_told_apart_is_forgotten_with_the_symbol_and_does_not_grow_without_bound() -> None:
    made = table("RY:TSX")
    made.acknowledged("RY", ("XTSE",))
    for n in range(3000):
        assert made.resolve_venues("RY", ("XTSE", f"{n}")) == "RY:TSX"
    assert made.resolve_venues("RY", ("XTSE", "x" * 10_000)) == "RY:TSX"
    assert len(made._told) <= 1000
    made.remove("RY:TSX")
    assert made.resolve_venues("RY", ("XTSE", "2999")) is None


def test_an_acknowledgement_that_may_mean_several_is_taken_for_all() -> None:
    made = table("RY:TSX", "RY:NYSE")
    assert set(made.acknowledged("RY")) == {"RY:TSX", "RY:NYSE"}
    assert made.acknowledged("RY:LSE") == ()
    assert made.acknowledged("MSFT") == ()
    made.remove("RY:TSX")
    assert made.acknowledged("RY:TSX") == ()


def test_symbols_given_up_are_forgotten_one_day() -> None:
    made = table("KEEP", "RY", "RY:TSX")
    made.remove("RY")
    for n in range(2000):
        made.add(f"S{n}")
        made.remove(f"S{n}")
    assert len(made._by_key) == 1002
    assert len(made) == 2
    # With its sibling forgotten, the bare ticker is clear again.
    assert made.lookup("RY") == "RY:TSX"


spellings = st.sampled_from(["RY", "ry", "RY:TSX", "RY:NYSE", " ry:tsx", "AAPL", "aapl", "BTC/USD", "BTC/USD:Huobi"])


@given(
    st.lists(st.tuples(st.booleans(), spellings), max_size=30), spellings, st.sampled_from([(), ("TSX",), ("NYSE",)])
)
def test_the_fast_way_never_contradicts_the_careful_one(
    changes: list[tuple[bool, str]], native: str, venues: tuple[str, ...]
) -> None:
    made = table()
    wanted: dict[str, None] = {}
    for add, symbol in changes:
        key = symbol.strip().upper()
        if add:
            made.add(symbol)
            wanted[key] = None
        else:
            made.remove(symbol)
            wanted.pop(key, None)
    assert {symbol.upper() for symbol in made} == set(wanted)
    assert len(made) == len(wanted)
    careful, fast = made.resolve(native), made.lookup(native)
    assert fast is None or careful is None or fast == careful
    with_venue = made.resolve(native, venues)
    assert with_venue is None or with_venue in made


def test_where_every_symbol_is_wanted_each_is_taken_as_it_comes() -> None:
    table = SymbolTable(lambda symbol: (symbol, ""), every=True)
    assert (table.lookup("AAPL"), table.resolve("msft"), table.resolve("MSFT")) == ("AAPL", "msft", "msft")
    assert table.resolve("  ") is None
    assert list(table) == ["AAPL", "msft"]
