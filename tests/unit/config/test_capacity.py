"""How many symbols fit on a feed's connection."""

import pytest

from pricestreamd.config.capacity import placement
from pricestreamd.feeds.settings import FeedSettings
from tests.unit.config.conftest import Problems


@pytest.mark.parametrize(
    ("symbols", "cap", "placed", "left"),
    [
        (("A", "B", "C"), 2, ("A", "B"), ("C",)),
        (("A", "a", "B", "C"), 2, ("A", "B"), ("C",)),
        (("A", "B"), 2, ("A", "B"), ()),
        (("A", "B"), None, ("A", "B"), ()),
        ((), 1, (), ()),
    ],
)
@pytest.mark.parametrize("provider", ["twelvedata", "from-a-plugin"])
def test_the_first_symbols_are_placed(
    provider: str, symbols: tuple[str, ...], cap: int | None, placed: tuple[str, ...], left: tuple[str, ...]
) -> None:
    fit = placement(FeedSettings(provider=provider, symbols=symbols, max_symbols_per_connection=cap))
    assert (fit.placed, fit.left, fit.cap) == (placed, left, cap)


def test_each_symbol_that_does_not_fit_is_named(warnings_of: Problems) -> None:
    feed = "provider: twelvedata, api_key: '${K}', max_symbols_per_connection: 1, symbols: [A, B, C/D]"
    assert warnings_of(f"feeds: {{us: {{{feed}}}}}", K="k") == [
        (
            "c.yaml:1:93: feeds.us.symbols: 2 of 3 symbols do not fit on the one connection, which takes 1; left out: "
            "B, C/D"
        )
    ]
