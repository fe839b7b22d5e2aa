"""The official `twelvedata` SDK, unmodified, as its own documentation uses it. Run by `foreign.ForeignClient`.

Arguments: the key, and the symbols to begin with. Words: `subscribe`, `unsubscribe` (and symbols), `heartbeat`, `quit`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twelvedata import TDClient  # type: ignore[import-untyped]  # it ships no types


def on_event(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def main() -> None:
    key, *symbols = sys.argv[1:]
    ws = TDClient(apikey=key).websocket(symbols=symbols, on_event=on_event)
    ws.connect()
    for line in sys.stdin:
        word, *named = line.split()
        if word == "subscribe":
            ws.subscribe(named)
        elif word == "unsubscribe":
            ws.unsubscribe(named)
        elif word == "heartbeat":
            ws.heartbeat()
        elif word == "quit":
            ws.disconnect()
            return


if __name__ == "__main__":
    main()
