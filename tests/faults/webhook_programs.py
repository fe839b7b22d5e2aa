"""Programs for a network of their own (`tests.support.own_network`), whose name server answers as an attacker's would.

`python -m tests.faults.webhook_programs PROGRAM FOLDER` runs one; it prints one line of JSON: what it found.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.settings import WebhookSinkSettings
from pricestreamd.sinks.webhook.sink import WebhookSink
from tests.unit.sinks.samples import alert

PUBLIC = "93.184.216.34"
METADATA = "169.254.169.254"
PRIVATE = "10.20.30.40"
_A = 1


class NameServer(asyncio.DatagramProtocol):
    """Answers each question for an IPv4 address with the next of `answers`, each a list of addresses, to live 0 s."""

    def __init__(self, answers: Iterable[list[str]]) -> None:
        self.answers = iter(answers)
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        (kind,) = struct.unpack("!H", data[end - 4 : end - 2])
        found = []
        if kind == _A:
            self.asked += 1
            found = next(self.answers)
        head = data[:2] + struct.pack("!5H", 0x8180, 1, len(found), 0, 0)
        records = b"".join(
            struct.pack("!3HIH", 0xC00C, _A, 1, 0, 4) + ipaddress.ip_address(address).packed for address in found
        )
        self.transport.sendto(head + data[12:end] + records, addr)


async def rebinding(folder: Path) -> dict[str, Any]:
    """Sends to a name that leads to this machine and its neighbours every other time, and says who got what."""
    for address in (PUBLIC, METADATA, PRIVATE):
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    bad = (["127.0.0.1"], [METADATA], [PRIVATE], [PRIVATE, METADATA])
    script = itertools.cycle([[PUBLIC], bad[0], [PUBLIC], bad[1], [PUBLIC, PRIVATE], bad[2], [PRIVATE, PUBLIC], bad[3]])
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(script), ("127.0.0.1", 53))
    received: dict[str, int] = {}

    async def receive(request: web.Request) -> web.Response:
        assert request.transport is not None
        here = request.transport.get_extra_info("sockname")[0]
        received[here] = received.get(here, 0) + 1
        # So that every request asks for the name again.
        return web.Response(headers={"Connection": "close"})

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    everywhere = socket.create_server(("0.0.0.0", 0))
    await web.SockSite(runner, everywhere).start()
    url = f"http://hook.example.org:{everywhere.getsockname()[1]}/"
    sink = WebhookSink("hook", WebhookSinkSettings(url=Secret(url)), deadline=5.0)
    told = []
    for number in range(16):
        try:
            await sink.deliver([alert(number)])
        except SinkError as error:
            told.append(str(error))
    await sink.close()
    await runner.cleanup()
    transport.close()
    return {"received": received, "told": told, "asked": server.asked}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))))
