"""Events and a sink made for tests."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import structs

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import CustomEvent, Event, FeedConnected, PriceAlert, PriceError, PriceGap, PriceUpdate
from pricestreamd.sinks.base import MOST_AT_ONCE

BEGIN = 1_700_000_000.0


def update(number: int = 1, symbol: str = "AAPL", price: float = 200.35, **fields: object) -> PriceUpdate:
    values: dict[str, object] = {
        "volume": 100.0,
        "last_price": 199.5,
        "change": 0.85,
        "change_percent": 0.4261,
        "currency": "USD",
        "feed": "us-stocks",
        "received_at": BEGIN + number + 0.25,
        "sequence": number,
        **fields,
    }
    return PriceUpdate("run", number, BEGIN + number, symbol, price, **values)  # type: ignore[arg-type]


def updates(count: int, first: int = 1, symbols: int = 3) -> list[Event]:
    return [update(number, f"SYM{number % symbols}", 100 + number / 8) for number in range(first, first + count)]


def alert(number: int = 1, symbol: str = "AAPL") -> PriceAlert:
    return PriceAlert(
        run="run",
        number=number,
        timestamp=BEGIN + number,
        symbol=symbol,
        price=200.35,
        volume=None,
        last_price=199.5,
        change=0.85,
        change_percent=0.4261,
        currency="USD",
        feed="us-stocks",
        received_at=BEGIN + number,
        sequence=number,
        alert_id="aapl-high",
        alert_name="aapl-high",
        alert_reason="price_above_200.00",
        alert_conditions={"above": 200.0},
        alert_text=f"{symbol} 200.35 crossed above 200.00 at 09:31:02 New York",
        alert_value=200.35,
        alert_threshold=200.0,
        firing_id="0123456789abcdef",
    )


def alert_named(firing_id: str, number: int = 1) -> PriceAlert:
    return structs.replace(alert(number), firing_id=firing_id)


def error(number: int = 1, severity: str = "critical", symbol: str | None = None) -> PriceError:
    return PriceError(
        run="run",
        number=number,
        timestamp=BEGIN + number,
        severity=severity,  # type: ignore[arg-type]
        error="parked",
        message="the key was refused",
        feed="us-stocks",
        symbol=symbol,
    )


def gap(*symbols: str) -> PriceGap:
    return PriceGap("run", 1, BEGIN, "us-stocks", symbols, BEGIN, BEGIN + 3, "reset")


def connected() -> FeedConnected:
    return FeedConnected(run="run", number=1, timestamp=BEGIN, feed="us-stocks", host="localhost", port=8765)


def custom(name: str = "my.signal", **data: object) -> CustomEvent:
    return CustomEvent("run", 1, BEGIN, name, data)


class MemorySink:
    """Keeps what it gets. `before`, where set, is awaited or raises before a batch is taken."""

    carries: tuple[str, ...] = ("*",)
    most_at_once = MOST_AT_ONCE
    concurrent = 1

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.batches: list[list[Event]] = []
        self.is_open = False
        self.opened = 0
        self.before: Callable[[Sequence[Event]], object] | None = None
        self.open_errors: list[Exception] = []

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    async def open(self) -> None:
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.opened += 1
        self.is_open = True

    async def deliver(self, batch: Sequence[Event]) -> None:
        batch = list(batch)
        if self.before is not None:
            answer = self.before(batch)
            if asyncio.isfuture(answer) or asyncio.iscoroutine(answer):
                await answer
        self.batches.append(batch)

    async def close(self) -> None:
        self.is_open = False


class Script:
    """Answers for the first deliveries, in order: an exception to raise, or None. Afterwards all go well."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.calls: list[list[Event]] = []

    def __call__(self, batch: Sequence[Event]) -> None:
        self.calls.append(list(batch))
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer


def failed(text: str = "away", *, retry_after: float | None = None) -> SinkError:
    return SinkError(text, sink="memory", retry_after=retry_after)


def refused(text: str = "not that") -> SinkError:
    return SinkError(text, sink="memory", transient=False)
