"""Dials for one feed: with its options, and when it is its turn."""

from __future__ import annotations

import ssl

from yarl import URL

from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.transports.dial import dial
from pricestreamd.feeds.transports.endpoint import tls_context
from pricestreamd.feeds.transports.gate import DialGate
from pricestreamd.feeds.transports.transport import Options, Transport
from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import Adapter
from pricestreamd.providers.profile import Profile
from pricestreamd.state.thread import OneThread


class Dialler:
    """Dials `address` as `settings` say. What they say is read once: another way needs another client."""

    def __init__(self, settings: FeedSettings, profile: Profile, address: str, gate: DialGate) -> None:
        self._settings = settings
        self._profile = profile
        self._address = address
        self._host = URL(address).host or ""
        self._gate = gate
        self._options: Options | None = None

    async def options(self) -> Options:
        """How to dial.

        Raises:
            TransportError: the certificates that are named cannot be read.
        """
        if self._options is None:
            settings = self._settings
            secure = self._address.startswith(("wss:", "https:"))
            self._options = Options(
                tls=await self._tls() if secure else None,
                connect_timeout=settings.connect_timeout,
                max_message_size=settings.max_message_size,
                proxy=settings.proxy.reveal() if isinstance(settings.proxy, Secret) else settings.proxy,
            )
        return self._options

    async def _tls(self) -> ssl.SSLContext:
        # Reading the authorities of the system takes a while, and functions of the user's may keep all threads of the
        # loop busy.
        thread = OneThread("TLS")
        try:
            return await thread.call(tls_context, self._settings.tls.ca_file)
        finally:
            thread.stop()

    async def dial(self, adapter: Adapter) -> Transport:
        """Wait for a turn and open a connection; raises as `feeds.transports.dial.dial`."""
        options = await self.options()
        async with self._gate.turn(self._host, self._profile):
            return await dial(adapter, options)
