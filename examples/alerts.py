"""Alerts set by a program: thresholds, moves, a trailing stop; and why one did or did not fire.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
python examples/alerts.py --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any
WEBSOCKET_API_KEY=... python examples/alerts.py        # or with your key of Twelve Data

Ctrl-C, SIGTERM or `--seconds` end it. Alerts of a program live as long as the program does; those of the daemon
(docs/alerts.md explains every rule) survive a restart.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from pricestreamd import EventDispatcher, FeedError, PriceAlert, PriceStreamService, WebSocketClient


async def main(options: argparse.Namespace) -> None:
    """Print alerts until the time is over or a signal comes, and then how far each alert is from firing."""
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint)
    async with EventDispatcher() as dispatcher:
        stream = PriceStreamService(client, dispatcher)

        @dispatcher.on("price.alert")
        def ring(alert: PriceAlert) -> None:
            print(f"ALERT {alert.alert_text} [{alert.alert_reason}]")

        set_alerts = {
            # When the price becomes 200 or more, or 150 or less; again only after it was on the other side.
            stream.set_alert("AAPL", above=200.00, below=150.00): "AAPL",
            # Every further 0.2 %, up or down, but not more often than once in ten seconds.
            stream.set_alert("MSFT", name="msft-move", change_percent=0.2, cooldown="10s"): "MSFT",
            # 0.2 % below the highest price so far, once and never again.
            stream.set_alert("GOOGL", {"name": "googl-stop", "trailing_percent": 0.2, "once": True}): "GOOGL",
        }

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.seconds) as time_left:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
                await stream.run(set_alerts.values())

        for alert_id, symbol in set_alerts.items():
            if why := stream.explain_alert(alert_id, symbol):
                print(f"{alert_id}: {why['state']}", f"firings: {why['firings']}", *why["suppressed_by"], sep="; ")
        stream.clear_alerts("AAPL")
        print(f"alerts left: {stream.get_stats()['alerts_active']}")


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
