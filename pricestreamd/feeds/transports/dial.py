"""Open a connection, by whichever transport the provider speaks."""

from __future__ import annotations

from pricestreamd.feeds.transports import poll, sse, websocket
from pricestreamd.feeds.transports.transport import Options, Transport
from pricestreamd.providers.base import Adapter


async def dial(adapter: Adapter, options: Options) -> Transport:
    """Open a connection as `adapter` wants it.

    Raises:
        TransportError: the network, TLS, the proxy or the deadline.
        UpgradeRefused: the server answered with another status than the transport needs.
        ProtocolError: the server does not speak the protocol, or wrongly.
    """
    match adapter.profile.transport:
        case "websocket":
            return await websocket.dial(adapter.connect_params(), options)
        case "sse":
            return await sse.dial(adapter.connect_params(), options)
        case "poll":
            return await poll.dial(adapter, options)
