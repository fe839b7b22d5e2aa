"""Synthetic prices: sensible, never zero, and the same for the same dice."""

import itertools
import random
from collections.abc import Callable

import pytest

from pricestreamd.simulator.market import Dice, Market, Quotation, Walk


def dice(seed: object) -> Callable[[str], Dice]:
    return lambda symbol: random.Random(f"{seed}/{symbol}").random


def steps(seed: object, symbol: str, count: int) -> list[float]:
    walk = Market(dice(seed)).walk(symbol)
    return [walk.step() for _ in range(count)]


def test_the_same_dice_give_the_same_prices() -> None:
    assert steps(1, "AAPL", 500) == steps(1, "AAPL", 500)
    assert steps(1, "AAPL", 500) != steps(2, "AAPL", 500)


def test_a_symbols_prices_do_not_depend_on_the_other_symbols() -> None:
    market = Market(dice(1))
    mixed = [(market.walk("AAPL").step(), market.walk("MSFT").step()) for _ in range(100)]
    assert [price for price, _ in mixed] == steps(1, "AAPL", 100)
    assert [price for _, price in mixed] == steps(1, "MSFT", 100)


@pytest.mark.parametrize(
    ("symbol", "low", "high", "decimals"),
    [
        ("AAPL", 200, 270, 2),
        ("BTC/USD", 60_000, 76_000, 2),
        ("EUR/USD", 0.95, 1.22, 5),
        ("USD/JPY", 130, 175, 3),
        ("XYZ", 15, 460, 2),
        ("NOK/SEK", 0.4, 2.3, 5),
        ("CHF/JPY", 40, 230, 3),
    ],
)
def test_prices_stay_in_a_sensible_range_with_the_digits_of_their_market(
    symbol: str, low: float, high: float, decimals: int
) -> None:
    prices = steps("range", symbol, 50_000)
    assert low < min(prices)
    assert max(prices) < high
    assert all(price == round(price, decimals) for price in prices)
    assert len(set(prices)) > 50


def test_prices_move_enough_to_be_worth_watching() -> None:
    prices = steps("moves", "AAPL", 10_000)
    moves = [abs(after - before) / before for before, after in itertools.pairwise(prices)]
    assert 0.02 < sum(move >= 0.001 for move in moves) / len(moves) < 0.5
    assert max(moves) > 0.003


def test_a_price_never_falls_below_its_smallest_step() -> None:
    walk = Walk(Quotation(0.01, 2), lambda: 0.0)
    assert [walk.step() for _ in range(5)] == [0.01] * 5


def test_trades_are_whole_and_mostly_small() -> None:
    walk = Market(dice("sizes")).walk("AAPL")
    sizes = sorted(walk.size() for _ in range(10_000))
    assert sizes[0] >= 1
    assert all(size == int(size) for size in sizes)
    assert sizes[5_000] <= 3
    assert sizes[-1] > 100
