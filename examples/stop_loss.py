"""A stop-loss that must not be missed: an alert that fires is kept on disk until `sell` has returned.

pricestreamd simulate        # in another terminal: a provider on this machine; any key will do
export WEBSOCKET_API_KEY=any WEBSOCKET_ENDPOINT=ws://127.0.0.1:9778/v1/quotes/price
AAPL_STOP=240 pricestreamd run --config examples/stop_loss.yaml        # both fire at once
python examples/stop_loss.py        # in another terminal: the orders so far

Without `WEBSOCKET_ENDPOINT`, and with your key, it is Twelve Data. Ctrl-C or SIGTERM end the daemon.

The daemon calls `sell` in a thread, and again later whenever it raises, also after a restart. A call that was under way
when the machine died is made once more, with the same alert: its `firing_id` makes it one order.
"""

import os
import sqlite3
from contextlib import closing

from pricestreamd import PriceAlert

ORDERS = os.environ.get("ORDERS", "orders.db")
SHARES = {"AAPL": 100, "MSFT": 50}


def sell(alert: PriceAlert) -> None:
    """Sell all that is held of a symbol, once for each firing. Your broker takes the place of the table."""
    order = (alert.firing_id, alert.symbol, SHARES[alert.symbol], alert.price, alert.alert_text)
    with closing(sqlite3.connect(ORDERS)) as book, book:
        book.execute("CREATE TABLE IF NOT EXISTS orders (firing_id PRIMARY KEY, symbol, shares, price, reason)")
        book.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?)", order)


if __name__ == "__main__":
    with closing(sqlite3.connect(ORDERS)) as book:
        for _, symbol, shares, price, reason in book.execute("SELECT * FROM orders"):
            print(f"sold {shares} {symbol} at {price} because {reason}")
