"""A connection and its prices, nothing else: connect, subscribe, listen.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
python examples/basic_connection.py --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any
WEBSOCKET_API_KEY=... python examples/basic_connection.py        # or with your key of Twelve Data

Ctrl-C, SIGTERM or `--seconds` end it: the symbols are given up, and the connection is closed politely.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

from pricestreamd import FeedError, Tick, WebSocketClient

SYMBOLS = ["AAPL", "MSFT", "GOOGL"]


def show_price(tick: Tick) -> None:
    """Print one price."""
    print(f"Price update: {tick.symbol} @ {tick.price}")


def show_connection(event: str, data: Mapping[str, object]) -> None:
    """Print what happens to the connection."""
    match event:
        case "connected":
            print(f"Connected to {data['host']}:{data['port']}")
        case "disconnected":
            print(f"Disconnected ({data['reason']})")
        case "reconnecting":
            print(f"Reconnecting (attempt {data['attempt']}, in {data['delay']:.1f} s)")


async def main(options: argparse.Namespace) -> None:
    """Print prices until the time is over or a signal comes."""
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint)
    client.on_message(show_price)
    client.on_connection(show_connection)
    client.on_error(lambda error, exc: print(f"Error: {error}: {exc}"))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.seconds) as time_left:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
            async with client:
                await client.subscribe(SYMBOLS)
                await client.listen()

    stats = client.get_stats()
    print(f"{stats['messages_received']} messages, {stats['reconnections']} reconnections")


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
