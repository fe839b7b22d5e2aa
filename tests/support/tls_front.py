"""A proxy that leads a program, by its own environment, to servers of the test instead of those that it names.

`CONNECT name:443` is granted for the names that it knows, and TLS is spoken with a certificate for that name; what is
inside goes to a loopback port in plain. So a program that knows nothing but `wss://ws.example.com` talks to a simulator, with
nothing of it changed: it only needs to honour a proxy and a bundle of certificates.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import trustme


class TlsFront:
    """Stands for the names of `ports` and forwards to these. `ca_file` is written into `folder`.

    An async context manager. `connects`: what was asked for, in the words of the program: `ws.example.com:443`.
    """

    def __init__(self, ports: Mapping[str, int], folder: Path) -> None:
        self.connects: list[str] = []
        self._ports = ports
        self._servers: dict[str, asyncio.Server] = {}
        self._authority = authority = trustme.CA()
        self.ca_file = folder / "front-ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self._pipes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for name, port in self._ports.items():
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(name).configure_cert(tls)
            decrypted = partial(self._pipe, port=port)
            self._servers[f"{name}:443"] = await asyncio.start_server(decrypted, "127.0.0.1", 0, ssl=tls)
        self._proxy = self._servers[""] = await asyncio.start_server(self._asked, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        for server in self._servers.values():
            await server.wait_closed()

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{_port(self._proxy)}"

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        method, target = request.decode().split(" ")[:2]
        self.connects.append(target)
        if method != "CONNECT" or target not in self._servers:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._pipe(reader, writer, _port(self._servers[target]))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Both directions, until either ends."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        pumps = [asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))]
        self._pipes.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
        self._pipes.difference_update(pumps)
        for end in (writer, far_writer):
            end.transport.abort()


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
