"""Alerts that have lost their symbols are told of; the others are not."""

import pytest

from pricestreamd.daemon.lost_symbols import lost_symbols
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.settings import AlertSettings


def rule(*symbols: str) -> AlertRule:
    return AlertRule.from_settings(AlertSettings(name="stop", symbols=symbols, below=1.0))


@pytest.mark.parametrize(
    ("symbols", "before", "after", "told"),
    [
        (["TSLA"], ["TSLA", "AAPL"], ["AAPL"], ["stop cannot fire any more: no feed has TSLA now"]),
        (["tsla"], ["Tsla"], [], ["stop cannot fire any more: no feed has Tsla now"]),
        (["TSLA"], ["TSLA", "AAPL"], ["tsla"], []),
        (["TSLA"], ["AAPL"], [], []),
        (["TSLA", "AAPL"], ["TSLA", "AAPL"], ["AAPL"], ["stop cannot fire for TSLA any more: no feed has it now"]),
        (["BTC/*"], ["BTC/USD", "BTC/EUR"], ["BTC/EUR"], []),
        (["BTC/*"], ["BTC/USD", "BTC/EUR"], ["AAPL"], ["stop cannot fire any more: no feed has BTC/USD, BTC/EUR now"]),
        (["*"], [f"S{n}" for n in range(7)], [], ["stop cannot fire any more: no feed has S0, S1, S2, S3, S4 and 2 more now"]),
    ],
)  # fmt: skip
def test_who_cannot_fire_any_more(symbols: list[str], before: list[str], after: list[str], told: list[str]) -> None:
    assert lost_symbols([rule(*symbols)], before, after) == told
