"""Which dialects the simulator speaks, by the name of the provider."""

from __future__ import annotations

from pricestreamd.simulator.alphavantage import AlphaVantage
from pricestreamd.simulator.binance import Binance
from pricestreamd.simulator.dialect import Dialect, Limits
from pricestreamd.simulator.generic import Generic
from pricestreamd.simulator.iex import Iex
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.twelvedata import TwelveData

_DIALECTS: dict[str, type[Dialect]] = {
    "twelvedata": TwelveData,
    "binance": Binance,
    "iex": Iex,
    "alphavantage": AlphaVantage,
    "generic": Generic,
}


def dialect_names() -> tuple[str, ...]:
    """The providers that can be simulated."""
    return tuple(_DIALECTS)


def usual_limits(provider: str) -> Limits:
    """What a provider that can be simulated allows by itself."""
    return _DIALECTS[provider].usual


def create(provider: str, scenario: Scenario, limits: Limits | None = None, *, ledger: bool = False) -> Dialect:
    """The dialect of `provider`. `limits`: other than the provider's own. `ledger`: ticks tell their numbers.

    Raises:
        ValueError: no such dialect; the message names those there are.
    """
    dialect = _DIALECTS.get(provider)
    if dialect is None:
        raise ValueError(f"no simulator for provider {provider!r}; there is one for {', '.join(_DIALECTS)}")
    return dialect(scenario, limits, ledger=ledger)
