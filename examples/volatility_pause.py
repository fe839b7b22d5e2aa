"""Trading that pauses by itself: after a spike no orders for that symbol until things have calmed down.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
python examples/volatility_pause.py --spike 0.1 --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any
WEBSOCKET_API_KEY=... python examples/volatility_pause.py        # or with your key of Twelve Data

Ctrl-C, SIGTERM or `--seconds` end it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from pricestreamd import (
    EventDispatcher,
    FeedError,
    PriceChange,
    PriceSpike,
    PriceStreamService,
    SpikeSettings,
    StreamSettings,
    WebSocketClient,
)


class Trading:
    """Orders for what moves, and none for what moves too much. `pause_seconds` count from the last spike."""

    def __init__(self, pause_seconds: float) -> None:
        self.pause_seconds = pause_seconds
        self.paused: dict[str, asyncio.TimerHandle] = {}

    def pause(self, spike: PriceSpike) -> None:
        """Hold back orders for a symbol; a plain function, so that it is done before the next price is looked at."""
        if spike.symbol in self.paused:
            self.paused[spike.symbol].cancel()
        loop = asyncio.get_running_loop()
        self.paused[spike.symbol] = loop.call_later(self.pause_seconds, self.resume, spike.symbol)
        print(f"{spike.symbol} moved {spike.spike_percent:+.2f} %: paused for {self.pause_seconds:g} s")

    def resume(self, symbol: str) -> None:
        """Take orders again."""
        del self.paused[symbol]
        print(f"{symbol} is calm: resumed")

    async def trade(self, change: PriceChange) -> None:
        """Place an order. A coroutine function runs after the plain ones of the same price: the pause is known."""
        if change.symbol not in self.paused:
            print(f"{change.symbol} order at {change.price}")
            await asyncio.sleep(0)  # your broker


async def main(options: argparse.Namespace) -> None:
    """Trade until the time is over or a signal comes."""
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint)
    settings = StreamSettings(min_change_percent=0.05, spike=SpikeSettings(percent=options.spike))
    trading = Trading(options.pause)
    async with EventDispatcher() as dispatcher:
        stream = PriceStreamService(client, dispatcher, settings)
        dispatcher.on("price.spike", trading.pause)
        dispatcher.on("price.change", trading.trade)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.seconds) as time_left:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
                await stream.run(["AAPL", "MSFT", "GOOGL"])


def options() -> argparse.Namespace:
    """From the command line, or the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default=os.environ.get("WEBSOCKET_ENDPOINT"), help="default: Twelve Data")
    parser.add_argument("--api-key", default=os.environ.get("WEBSOCKET_API_KEY"))
    parser.add_argument("--seconds", type=float, help="default: until Ctrl-C")
    parser.add_argument("--spike", type=float, default=5.0, help="per cent that pause a symbol (default: 5)")
    parser.add_argument("--pause", type=float, default=300.0, help="seconds without orders (default: 300)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(options()))
    except FeedError as exc:
        sys.exit(f"no prices: {exc}")
