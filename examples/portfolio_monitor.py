"""What a portfolio is worth, and what it has gained, with every price that moves it.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
python examples/portfolio_monitor.py --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any
WEBSOCKET_API_KEY=... python examples/portfolio_monitor.py        # or with your key of Twelve Data

Ctrl-C, SIGTERM or `--seconds` end it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from typing import NamedTuple

from pricestreamd import EventDispatcher, FeedError, PriceChange, PriceStreamService, WebSocketClient


class Position(NamedTuple):
    """What is held of one symbol, and what was paid for a share of it."""

    shares: float
    cost_basis: float


PORTFOLIO = {"AAPL": Position(100, 150.00), "MSFT": Position(50, 300.00), "GOOGL": Position(25, 120.00)}


def gain_percent(value: float, cost: float) -> float:
    """The gain in per cent of the cost."""
    return 100 * (value - cost) / cost


def worth(prices: dict[str, float]) -> str:
    """The positions whose price is known, together."""
    known = {symbol: position for symbol, position in PORTFOLIO.items() if symbol in prices}
    value = sum(position.shares * prices[symbol] for symbol, position in known.items())
    cost = sum(position.shares * position.cost_basis for position in known.values())
    return f"{len(known)} of {len(PORTFOLIO)} positions: {value:,.2f} ({gain_percent(value, cost):+.2f} %)"


async def main(options: argparse.Namespace) -> None:
    """Print what each move means until the time is over or a signal comes."""
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint)
    async with EventDispatcher() as dispatcher:
        stream = PriceStreamService(client, dispatcher)
        stream.set_min_change_percent(0.02)  # smaller moves are not worth a line

        @dispatcher.on("price.change")
        def show(change: PriceChange) -> None:
            shares, cost_basis = PORTFOLIO[change.symbol]
            value, gain = shares * change.price, gain_percent(change.price, cost_basis)
            print(f"{change.symbol}: {shares:g} shares @ {change.price:.2f} = {value:,.2f} ({gain:+.2f} %)")
            print(f"    {worth(stream.get_all_prices())}")

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.seconds) as time_left:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
                await stream.run(PORTFOLIO)


def options() -> argparse.Namespace:
    """From the command line, or the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default=os.environ.get("WEBSOCKET_ENDPOINT"), help="default: Twelve Data")
    parser.add_argument("--api-key", default=os.environ.get("WEBSOCKET_API_KEY"))
    parser.add_argument("--seconds", type=float, help="default: until Ctrl-C")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(options()))
    except FeedError as exc:
        sys.exit(f"no prices: {exc}")
