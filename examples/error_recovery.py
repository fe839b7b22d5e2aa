"""A provider on a bad day: what the client does by itself, what it tells, and what is left for the program.

pricestreamd simulate --scenario drop:3s        # in another terminal: every connection is dropped after 3 s
python examples/error_recovery.py --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any

Other bad days: `unavailable`, `mute`, `bad-key`; `pricestreamd simulate --list-scenarios` names all of them. Lost
connections are dialled again, with growing delays, and every symbol is subscribed again. Only what the client gives up
ends `run`: here after five attempts in a row. Then the program waits and begins anew; a refused key ends it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from pricestreamd import (
    Event,
    EventDispatcher,
    FeedConnected,
    FeedError,
    FeedReconnecting,
    PriceError,
    PriceGap,
    PriceStreamService,
    WebSocketClient,
)


def show(event: Event) -> None:
    """Print what goes wrong, and what comes of it."""
    match event:
        case PriceError():
            print(f"{event.severity}: {event.error}: {event.message}")
        case FeedConnected():
            print(f"connected to {event.host}:{event.port}")
        case FeedReconnecting():
            print(f"attempt {event.attempt} in {event.delay_seconds:.2f} s")
        case PriceGap():
            missed = event.to_time - event.from_time
            print(f"back: {missed:.2f} s of {', '.join(event.symbols)} may be missing")


async def keep_running(stream: PriceStreamService, pause: float) -> None:
    """Run the stream, and again after a pause when the client has given up. Alerts and history stay."""
    while True:
        try:
            return await stream.run(["AAPL", "MSFT", "GOOGL"])
        except FeedError as exc:
            if not exc.transient:
                raise  # the same key will be refused again
            print(f"gave up: {exc}; once more in {pause:g} s")
            await asyncio.sleep(pause)


async def main(options: argparse.Namespace) -> None:
    """Survive until the time is over or a signal comes."""
    dispatcher = EventDispatcher()
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint, run=dispatcher.run)
    client.set_reconnection_strategy(max_attempts=5, initial_delay=options.delay, max_delay=30, backoff_multiplier=2)
    client.set_heartbeat(enabled=True, interval=15)  # a connection without an answer is replaced
    dispatcher.on("*", show)

    async with dispatcher:
        stream = PriceStreamService(client, dispatcher)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.seconds) as time_left:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
                await keep_running(stream, options.pause)

    stats = stream.get_stats()
    print(f"{stats['updates_received']} prices, {stats['websocket_stats']['reconnections']} reconnections")


def options() -> argparse.Namespace:
    """From the command line, or the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default=os.environ.get("WEBSOCKET_ENDPOINT"), help="default: Twelve Data")
    parser.add_argument("--api-key", default=os.environ.get("WEBSOCKET_API_KEY"))
    parser.add_argument("--seconds", type=float, help="default: until Ctrl-C")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds before the first attempt (default: 1)")
    parser.add_argument("--pause", type=float, default=60.0, help="seconds before beginning anew (default: 60)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(options()))
    except FeedError as exc:
        sys.exit(f"no prices: {exc}")
