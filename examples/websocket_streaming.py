"""The quick start, in both forms: prices from a connection, and prices as events.

python examples/websocket_streaming.py                      # against the built-in simulator, no key needed
WEBSOCKET_API_KEY=... python examples/websocket_streaming.py   # against Twelve Data
"""

import argparse
import asyncio
import os
from contextlib import AsyncExitStack

from pricestreamd import EventDispatcher, PriceAlert, PriceStreamService, PriceUpdate, Tick, WebSocketClient
from pricestreamd.simulator.server import Simulator

SYMBOLS = ["AAPL", "MSFT", "GOOGL"]


async def basic_connection(endpoint: str | None, api_key: str, seconds: float) -> int:
    """Connect, subscribe, and print each price for `seconds`; returns how many there were."""
    count = 0

    def show(tick: Tick) -> None:
        nonlocal count
        count += 1
        print(f"Price update: {tick.symbol} @ {tick.price}")

    async with WebSocketClient("twelvedata", api_key=api_key, endpoint=endpoint) as client:
        client.on_message(show)
        await client.subscribe(SYMBOLS)
        await client.listen(seconds)
    return count


async def streaming_with_events(endpoint: str | None, api_key: str, seconds: float) -> int:
    """The same prices as events, with an alert; returns how many updates there were."""
    client = WebSocketClient("twelvedata", api_key=api_key, endpoint=endpoint)
    async with EventDispatcher() as dispatcher:
        stream = PriceStreamService(client, dispatcher)

        @dispatcher.on("price.update")
        def show(update: PriceUpdate) -> None:
            print(f"{update.symbol}: ${update.price} ({update.change_percent:+.3f}%)")

        @dispatcher.on("price.alert")
        def alarm(alert: PriceAlert) -> None:
            print(f"ALERT {alert.alert_text}")

        stream.set_alert("AAPL", above=200.00, below=150.00)
        await stream.start(SYMBOLS)
        await client.listen(seconds)
        await stream.stop()
        return stream.get_stats()["updates_received"]


async def main() -> None:
    """Run both forms one after the other."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each form runs")
    seconds = parser.parse_args().seconds
    api_key = os.environ.get("WEBSOCKET_API_KEY")
    async with AsyncExitStack() as stack:
        endpoint = None
        if not api_key:
            simulator = await stack.enter_async_context(Simulator("twelvedata", rate=20))
            endpoint, api_key = simulator.url, "demo"
        received = await basic_connection(endpoint, api_key, seconds)
        updates = await streaming_with_events(endpoint, api_key, seconds)
    print(f"received {received} prices, then {updates} updates")


if __name__ == "__main__":
    asyncio.run(main())
