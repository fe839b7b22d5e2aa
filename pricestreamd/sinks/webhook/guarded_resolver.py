"""Names into addresses, but only into those that the guard admits.

It is the resolver that the connection itself uses, so nothing can change between a check and the connection: a name
that leads elsewhere from one moment to the next is refused all the same. For an address in the place of a name aiohttp
asks no resolver; whoever dials asks the guard about that.
"""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.webhook.address_guard import AddressGuard
from pricestreamd.state.thread import OneThread


class GuardedResolver(AbstractResolver):
    """Asks the system for addresses, and gives those out that the guard admits. `sink` is for errors.

    Each lookup has a thread of its own, as a name server that does not answer holds it for long, and nobody waits for
    one that was given up.
    """

    def __init__(self, guard: AddressGuard, sink: str) -> None:
        self._guard = guard
        self._sink = sink

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`, in the system's order.

        Raises:
            socket.gaierror: it has none.
            SinkError: it has only such as the guard refuses; worth another attempt, as names change.
        """
        thread = OneThread(f"address of {host}")
        try:
            found = await thread.call(_ask, host, port, family)
        finally:
            thread.stop()
        admitted = [(kind, address) for kind, address in found if self._guard.admits(address)]
        if not admitted:
            raise refusal(host, found[0][1] if found else "no address", self._sink)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, address in admitted
        ]

    async def close(self) -> None:
        """Nothing is held."""


def refusal(host: str, address: str, sink: str) -> SinkError:
    """What to say of a host that leads to an address that is not admitted."""
    what = f"{host} is" if host == address else f"{host} leads to {address},"
    return SinkError(f"{what} no public address: refused; allow its network by allow_private", sink=sink)


def _ask(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(kind, str(address[0])) for kind, _, _, _, address in found]
