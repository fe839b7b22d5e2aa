"""Prices into a database in batches: one transaction for a hundred prices, written by a thread, never by the loop.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
python examples/batching_to_a_database.py --endpoint ws://127.0.0.1:9778/v1/quotes/price --api-key any
WEBSOCKET_API_KEY=... python examples/batching_to_a_database.py        # or with your key of Twelve Data

Ctrl-C, SIGTERM or `--seconds` end it; what waits is written first. The daemon's sink `sqlite` needs no program, and
tries again when the disk does not take it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections import deque

from pricestreamd import EventDispatcher, FeedError, PriceStreamService, PriceUpdate, WebSocketClient

BATCH_SIZE = 100
BATCH_SECONDS = 1.0
MOST_WAITING = 10_000  # if the disk stands still for long, the oldest prices give way

Row = tuple[str, str, float, float, float | None]


class PriceTable:
    """The table `prices` of a SQLite file, and the prices that are not in it yet."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting: deque[Row] = deque(maxlen=MOST_WAITING)

    def add(self, update: PriceUpdate) -> None:
        """Take one price, and be quick about it: the next one comes when this function has returned."""
        self.waiting.append((update.id, update.symbol, update.timestamp, update.price, update.volume))

    async def keep_writing(self) -> None:
        """Write what waits, every second, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(BATCH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, batch by batch, while the stream goes on."""
        while self.waiting:
            batch = [self.waiting.popleft() for _ in range(min(BATCH_SIZE, len(self.waiting)))]
            try:
                await asyncio.to_thread(self.write, batch)
                print(f"{len(batch)} prices written")
            except sqlite3.Error as exc:
                print(f"{len(batch)} prices lost: {exc}", file=sys.stderr)

    def write(self, batch: list[Row]) -> None:
        """Write a batch wholly or not at all."""
        with contextlib.closing(sqlite3.connect(self.path)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS prices (id PRIMARY KEY, symbol, timestamp, price, volume)")
            database.executemany("INSERT INTO prices VALUES (?, ?, ?, ?, ?)", batch)


async def main(options: argparse.Namespace) -> None:
    """Store prices until the time is over or a signal comes."""
    client = WebSocketClient("twelvedata", api_key=options.api_key, endpoint=options.endpoint)
    table = PriceTable(options.database)
    writing = asyncio.create_task(table.keep_writing())
    async with EventDispatcher() as dispatcher:
        dispatcher.on("price.update", table.add)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.seconds) as time_left:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, time_left.reschedule, 0)  # over at once
                await PriceStreamService(client, dispatcher).run(["AAPL", "MSFT", "GOOGL"])
    writing.cancel()
    await asyncio.wait([writing])


def options() -> argparse.Namespace:
    """From the command line, or the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default=os.environ.get("WEBSOCKET_ENDPOINT"), help="default: Twelve Data")
    parser.add_argument("--api-key", default=os.environ.get("WEBSOCKET_API_KEY"))
    parser.add_argument("--seconds", type=float, help="default: until Ctrl-C")
    parser.add_argument("--database", default="prices.db", help="default: prices.db")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(options()))
    except FeedError as exc:
        sys.exit(f"no prices: {exc}")
