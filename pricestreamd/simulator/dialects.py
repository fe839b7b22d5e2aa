"""Which dialects the simulator speaks, by the name of the provider."""

from __future__ import annotations

from collections.abc import Callable

from pricestreamd.simulator.dialect import Dialect, Limits
from pricestreamd.simulator.scenarios import Scenario
from pricestreamd.simulator.twelvedata import TwelveData

_DIALECTS: dict[str, Callable[[Scenario, Limits | None], Dialect]] = {"twelvedata": TwelveData}


def dialect_names() -> tuple[str, ...]:
    """The providers that can be simulated."""
    return tuple(_DIALECTS)


def create(provider: str, scenario: Scenario, limits: Limits | None = None) -> Dialect:
    """The dialect of `provider`. `limits`: other than the provider's own.

    Raises:
        ValueError: no such dialect; the message names those there are.
    """
    dialect = _DIALECTS.get(provider)
    if dialect is None:
        raise ValueError(f"no simulator for provider {provider!r}; there is one for {', '.join(_DIALECTS)}")
    return dialect(scenario, limits)
