"""A fault proxy whose toxics belong to single connections, so that one of several to the same server can be spoiled."""

from __future__ import annotations

import asyncio

from tests.support.faultproxy import FaultProxy, Toxic, _Link


class Line(FaultProxy):
    """One connection through the proxy, with toxics of its own; it listens nowhere itself.

    `far_port`: what the server sees as the peer's port.
    """

    far_port = 0

    def spoil(self, *toxics: Toxic) -> None:
        """Add `toxics` in both directions."""
        for toxic in toxics:
            self.add(toxic, "upstream")
            self.add(toxic, "downstream")


class LineProxy(FaultProxy):
    """`lines` are the open connections, in the order of their arrival.

    While `refusing` is true a connection is closed as soon as it is accepted.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__(port, host)
        self.lines: list[Line] = []
        self.refusing = False

    def line(self, far_port: int) -> Line | None:
        """The one that the server knows by its peer's port."""
        return next((line for line in self.lines if line.far_port == far_port), None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        host, port = self._target
        line = Line(port, host)
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        line.far_port = far_writer.get_extra_info("sockname")[1]
        link = _Link(line, (reader, writer), (far_reader, far_writer))
        line._links.add(link)
        self._links.add(link)
        self.lines.append(line)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            self.lines.remove(line)
