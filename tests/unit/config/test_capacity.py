"""How many symbols fit on a feed's connections, and whether a key is enough for all that use it."""

import pytest

from pricestreamd.config.capacity import placement
from pricestreamd.feeds.settings import FeedSettings
from tests.unit.config.conftest import Problems


@pytest.mark.parametrize(
    ("symbols", "cap", "limit", "placed", "left", "connections"),
    [
        (("A", "B", "C"), 2, 1, ("A", "B"), ("C",), 1),
        (("A", "a", "B", "C"), 2, 1, ("A", "B"), ("C",), 1),
        (("A", "B", "C"), 2, None, ("A", "B", "C"), (), 2),
        (("A", "B"), 2, None, ("A", "B"), (), 1),
        (("A", "B"), None, None, ("A", "B"), (), 1),
        ((), 1, 1, (), (), 1),
    ],
)
@pytest.mark.parametrize("provider", ["twelvedata", "from-a-plugin"])
def test_the_first_symbols_are_placed(  # noqa: PLR0917 - a table's columns
    provider: str,
    symbols: tuple[str, ...],
    cap: int | None,
    limit: int | None,
    placed: tuple[str, ...],
    left: tuple[str, ...],
    connections: int,
) -> None:
    feed = FeedSettings(provider=provider, symbols=symbols, max_symbols_per_connection=cap, max_connections=limit)
    fit = placement(feed)
    assert (fit.placed, fit.left, fit.connections) == (placed, left, connections)


def test_each_symbol_that_does_not_fit_is_named(warnings_of: Problems) -> None:
    caps = "max_symbols_per_connection: 1, max_connections: 1"
    feed = f"provider: twelvedata, api_key: '${{K}}', {caps}, symbols: [A, B, C/D]"
    assert warnings_of(f"feeds: {{us: {{{feed}}}}}", K="k") == [
        (
            "c.yaml:1:113: feeds.us.symbols: 2 of 3 symbols do not fit on the one connection, which takes 1; left out: "
            "B, C/D"
        )
    ]


def test_a_key_that_is_shared_by_more_connections_than_it_allows_is_told_of(warnings_of: Problems) -> None:
    one = "provider: twelvedata, api_key: '${K}', max_symbols_per_connection: 1, symbols: [A, B]"
    two = "provider: twelvedata, api_key: '${K}', max_symbols_per_connection: 1, symbols: [C, D]"
    (warning,) = warnings_of(f"feeds: {{us: {{{one}}}, them: {{{two}}}}}", K="k")
    assert "feeds.them.provider: shares its key with us: together they need 4 connections" in warning
    assert "allows 3 with one key" in warning


def test_feeds_with_keys_of_their_own_share_nothing(warnings_of: Problems) -> None:
    one = "provider: twelvedata, api_key: '${K}', max_symbols_per_connection: 1, symbols: [A, B]"
    two = "provider: twelvedata, api_key: '${L}', max_symbols_per_connection: 1, symbols: [C, D]"
    assert warnings_of(f"feeds: {{us: {{{one}}}, them: {{{two}}}}}", K="k", L="l") == []
