"""Binance's official connector, unmodified, as its own examples use it. Run by `foreign.ForeignClient`.

Arguments: the address of the server, and `raw` or `combined`. Words: `subscribe`, `unsubscribe` (and symbols: their
aggregated trades), `ticker` (and a symbol: its short summary), `list`, `ping`, `quit`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from binance.websocket.spot.websocket_stream import (  # type: ignore[import-untyped]  # it ships no types
    SpotWebsocketStreamClient,
)


def on_message(_: Any, message: str) -> None:
    print(message, flush=True)


def on_pong(_: Any) -> None:
    print(json.dumps({"pong": True}), flush=True)


def on_close(_: Any) -> None:
    print(json.dumps({"closed": True}), flush=True)


def main() -> None:
    url, form = sys.argv[1:]
    client = SpotWebsocketStreamClient(
        stream_url=url, on_message=on_message, on_pong=on_pong, on_close=on_close, is_combined=form == "combined"
    )
    for line in sys.stdin:
        word, *symbols = line.split()
        if word == "subscribe":
            client.subscribe([f"{symbol}@aggTrade" for symbol in symbols])
        elif word == "unsubscribe":
            for symbol in symbols:
                client.agg_trade(symbol, action=SpotWebsocketStreamClient.ACTION_UNSUBSCRIBE)
        elif word == "ticker":
            client.mini_ticker(*symbols)
        elif word == "list":
            client.list_subscribe()
        elif word == "ping":
            client.ping()
        elif word == "quit":
            client.stop()
            return


if __name__ == "__main__":
    main()
