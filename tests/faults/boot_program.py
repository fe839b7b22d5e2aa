"""A daemon that starts before the network does: a program for a network of its own (`tests.support.own_network`).

`python -m tests.faults.boot_program FOLDER` prints one line of JSON: what it found. At first the machine has nothing but
its loopback, no way to any other address, and nobody who knows a name; then the cable is put in.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pricestreamd.simulator.server import Simulator
from tests.support.crash_owing import owe, owed
from tests.support.daemon import DaemonProcess
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

# The address and the name of the provider, once there is a network.
_ADDRESS, _NAME = "198.51.100.7", "feed.test"
_FEEDS = ("named", "numbered")
# Where an earlier life still owes alerts.
_HOOK = "hook.test"
_OWED = 20
# So many dials of each feed fail before the cable is put in.
_DIALS = 5


def config(port: int, hook: int) -> str:
    """One feed must be looked up, the other cannot be reached by its number either."""
    feed = "{{provider: twelvedata, api_key: '${{KEY}}', allow_plaintext: true, market_hours: always, symbols: [{}], endpoint: 'ws://{}:{}/v1/quotes/price', {}}}"
    hasty = "reconnect: {initial_delay: 50ms, max_delay: 200ms, jitter: 0}"
    return f"""
feeds:
  named: {feed.format("AAPL", _NAME, port, hasty)}
  numbered: {feed.format("MSFT", _ADDRESS, port, hasty)}
alerts: [{{name: first, symbols: [AAPL, MSFT], above: 0.01}}]
sinks:
  events: {{type: file, path: events.jsonl, batch: {{interval: 50ms}}}}
  hook: {{type: webhook, url: "http://{_HOOK}:{hook}/", allow_private: true, events: [price.alert],
         retry: {{delays: [50ms], max_age: 1h}}}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""


def unplugged() -> None:
    """As a machine is before its network is set up."""
    subprocess.run(["ip", "link", "set", "out", "down"], check=True)


def plugged_in() -> None:
    """The provider has an address and a name."""
    subprocess.run(["ip", "addr", "add", f"{_ADDRESS}/32", "dev", "lo"], check=True)
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"{_ADDRESS} {_NAME}\n127.0.0.1 {_HOOK}\n")


async def boot(folder: Path) -> dict[str, Any]:
    """The whole of it."""
    unplugged()
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(folder / "notify"))
    told.setblocking(False)
    rows = [owed(number) for number in range(_OWED)]
    await owe(folder / "state.db", "hook", rows)
    async with Simulator("twelvedata", "0.0.0.0", rate=200) as simulator, Receiver() as receiver:
        began = time.monotonic()
        async with DaemonProcess(
            folder,
            config(simulator.port, receiver.port),
            ready=False,
            KEY="any-key",
            NOTIFY_SOCKET=str(folder / "notify"),
        ) as daemon:
            first = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(told, 4096), 20)
            ready = time.monotonic() - began
            await eventually(lambda: daemon.url, 5)
            await daemon.until("/metrics", _all_dialled)
            feeds = await daemon.get("/api/v1/feeds")
            found = {
                "first word": first.decode().splitlines()[0],
                "ready seconds": ready,
                "errors": {name: feed["connections"][0]["last_error"] for name, feed in feeds.items()},
                "health": await daemon.get("/health", status=503),
                "livez": await daemon.get("/livez"),
                "readyz": await daemon.get("/readyz?verbose", status=503),
                "prices": await daemon.get("/api/v1/prices"),
            }
            plugged_in()
            there = time.monotonic()
            found["prices then"] = sorted(await daemon.until("/api/v1/prices", lambda prices: len(prices) == 2))
            found["caught up seconds"] = time.monotonic() - there
            await eventually(lambda: len(receiver.accepted) >= _OWED + 2, 30)
            found["delivered seconds"] = time.monotonic() - there
            found["delivered of old"] = len({row.event_id for row in rows} & set(receiver.ids))
            found["delivered"] = len(set(receiver.ids))
            found["health then"] = (await daemon.get("/health"))["status"]
            found["readyz then"] = await daemon.get("/readyz")
            found["exit code"] = await daemon.stop()
        found["connects"] = simulator.connects
    told.close()
    found["loud lines"] = [each["message"] for each in daemon.records if each["log.level"] not in ("info", "debug")]
    found["events"] = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return found


def _all_dialled(scrape: str) -> bool:
    return all(dials(scrape, name) >= _DIALS for name in _FEEDS)


def dials(scrape: str, feed: str) -> float:
    """How often a connection of `feed` could not be opened, or was lost."""
    begin = f'pricestream_reconnects_total{{feed="{feed}",'
    return sum(float(line.split()[-1]) for line in scrape.splitlines() if line.startswith(begin))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(boot(Path(sys.argv[1])))))
