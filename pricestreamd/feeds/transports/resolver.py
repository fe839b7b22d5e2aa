"""Names into addresses, in threads that nobody waits for.

A name server that does not answer holds a lookup for ten seconds and more. The loop's own threads are few and wanted by
others, and at the end of the process both asyncio and Python wait for each of them. So every lookup has a thread of its
own, and one that is given up is forgotten. How many there are is bounded by how often a host may be dialled.
"""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from pricestreamd.state.thread import OneThread


class Resolver(AbstractResolver):
    """Asks the system, as aiohttp's own resolver does."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`, in the system's order; raises `socket.gaierror` where it has none."""
        thread = OneThread(f"address of {host}")
        try:
            found = await thread.call(_ask, host, port, family)
        finally:
            thread.stop()
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


_Found = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]]


def _ask(host: str, port: int, family: socket.AddressFamily) -> _Found:
    # An address of a family that this machine has no way out for would only cost time.
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)  # type: ignore[return-value]
