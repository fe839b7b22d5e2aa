"""Programs for a network of their own (`tests.support.own_network`), whose names lead into the void.

`python -m tests.faults.network_programs PROGRAM FOLDER` runs one; it prints one line of JSON: what it found.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pricestreamd.feeds.transports.transport import Options
from pricestreamd.model.errors import TransportError
from pricestreamd.simulator.server import Simulator
from tests.faults.dialling import KINDS, adapter_for, dialled, good_server, works
from tests.support.daemon import DaemonProcess

_DIALS = 6


async def black_hole(_: Path) -> dict[str, Any]:
    """Seconds that a dial of each transport takes to a name whose first address swallows everything."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        async with good_server(kind, None) as port:
            began = time.monotonic()
            async with dialled(adapter_for(kind, f"http://both.test:{port}/?apikey=x")) as transport:
                found[kind] = time.monotonic() - began
                await works(kind, transport)
    try:
        async with dialled(adapter_for("websocket", "http://hole.test:9/"), Options(connect_timeout=1.0)):
            found["into the hole"] = "connected"
    except TransportError as exc:
        found["into the hole"] = exc.reason
    return found


async def dead_names(folder: Path) -> dict[str, Any]:
    """A daemon one of whose feeds is at a name that nobody can look up, beside one that is well."""
    async with Simulator("twelvedata", rate=200) as simulator:

        def config(symbols: str) -> str:
            return f"""
feeds:
  lost: {{provider: twelvedata, api_key: '${{KEY}}', endpoint: "wss://feed.example.org/", symbols: [TSLA],
         connect_timeout: 300ms, reconnect: {{initial_delay: 50ms, max_delay: 50ms, jitter: 0}}}}
  us: {{provider: twelvedata, api_key: '${{KEY}}', endpoint: "{simulator.url}", symbols: [{symbols}]}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""

        async with DaemonProcess(folder, config("AAPL"), KEY="any-key") as daemon:
            await daemon.until(
                "/metrics", lambda text: value(text, 'reconnects_total{feed="lost",reason="timeout"}') >= _DIALS
            )
            daemon.config.write_text(config("AAPL, MSFT"))
            asked = time.monotonic()
            daemon.send(signal.SIGHUP)
            await daemon.until("/api/v1/prices", lambda prices: "MSFT" in prices)
            reloaded = time.monotonic() - asked
            text = await daemon.get("/metrics")
            asked = time.monotonic()
            code = await daemon.stop()
            return {
                "dials": value(text, 'reconnects_total{feed="lost",reason="timeout"}'),
                "other reasons": text.count('reconnects_total{feed="lost"') - 1,
                "ticks": value(text, 'ticks_total{feed="us"}'),
                "reconnects of the other": text.count('reconnects_total{feed="us"'),
                "loops": value(text, "event_loop_lag_seconds_count"),
                "late loops": value(text, "event_loop_lag_seconds_count")
                - value(text, 'event_loop_lag_seconds_bucket{le="0.05"}'),
                "reload seconds": reloaded,
                "stop seconds": time.monotonic() - asked,
                "exit code": code,
            }


def value(scrape: str, series: str) -> float:
    """The number after `series` in a scrape; 0 where it is not there."""
    return next((float(line.split()[-1]) for line in scrape.splitlines() if f"_{series} " in line), 0.0)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))))
