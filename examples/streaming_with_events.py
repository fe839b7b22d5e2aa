"""Prices as events: who hears what, in which order, and a chain that hands a value from step to step.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
python examples/streaming_with_events.py --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any
WEBSOCKET_API_KEY=... python examples/streaming_with_events.py        # or with your key of Twelve Data

Ctrl-C, SIGTERM or `--seconds` end it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

from pricestreamd import EventDispatcher, FeedError, PriceChange, PriceStreamService, PriceUpdate, WebSocketClient

SYMBOLS = ["AAPL", "MSFT", "GOOGL"]


async def main(options: argparse.Namespace) -> None:
    """Listen to events until the time is over or a signal comes."""
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint)
    saved: dict[str, dict[str, Any]] = {}

    async def save(data: dict[str, Any]) -> None:
        await asyncio.sleep(0)  # your database
        saved[data["symbol"]] = data

    async with EventDispatcher() as dispatcher:
        stream = PriceStreamService(client, dispatcher)
        stream.set_min_change_percent(0.05)
        stream.set_history_tracking(enabled=True, size=100)

        @dispatcher.on("price.update")
        def show(update: PriceUpdate) -> None:
            print(f"{update.symbol}: ${update.price} ({update.change_percent:+.3f}%)")

        @dispatcher.on("price.update", priority=10)  # before `show`, although it was registered later
        def check(update: PriceUpdate) -> None:
            if update.suspect:
                print(f"{update.symbol}: the next price is hard to believe")

        dispatcher.once("price.change", lambda change: print(f"first change: {change.symbol} @ {change.price}"))
        dispatcher.on("feed.*", lambda event: print(f"{event.event} {event.host}:{event.port}"))

        def rounded(change: PriceChange) -> dict[str, Any]:
            return {**change.to_dict(), "change_percent": round(change.change_percent, 2)}

        dispatcher.chain("price.change").then(rounded).then(save).catch(print).execute()

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.seconds) as time_left:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
                await stream.run(SYMBOLS)

    print(f"counted {dispatcher.get_stats()['event_counts']}")
    print(f"history of AAPL: {[entry['price'] for entry in stream.get_history('AAPL', 5)]}")
    print(f"saved {sorted(saved)}")


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
