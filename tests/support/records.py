"""Event records and a clock for tests: as little written as the test is about."""

from typing import Any

from pricestreamd.model.events import PriceAlert, PriceError, PriceUpdate


def update(number: int = 1, **fields: Any) -> PriceUpdate:
    """A `price.update`."""
    return PriceUpdate("run", number, 1.0, **_price_fields(number) | fields)


def alert(number: int = 1, **fields: Any) -> PriceAlert:
    """A `price.alert`."""
    return PriceAlert("run", number, 1.0, **_price_fields(number) | fields)


def error(number: int = 1, **fields: Any) -> PriceError:
    """A `price.error`."""
    shared = {"severity": "warning", "error": "word", "message": "A sentence."}
    return PriceError(run="run", number=number, timestamp=1.0, **shared | fields)


def _price_fields(number: int) -> dict[str, Any]:
    return {
        "symbol": "AAPL",
        "price": 100.0,
        "volume": None,
        "last_price": None,
        "change": 0.0,
        "change_percent": 0.0,
        "currency": None,
        "feed": "us",
        "received_at": 1.0,
        "sequence": number,
    }


class ManualClock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now
