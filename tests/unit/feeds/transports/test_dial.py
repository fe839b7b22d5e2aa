"""Which transport is dialled: the one that the provider's profile names."""

from __future__ import annotations

import pytest

from pricestreamd.feeds.transports.dial import dial
from pricestreamd.feeds.transports.poll import Polling
from pricestreamd.feeds.transports.sse import EventStream
from pricestreamd.feeds.transports.transport import Options
from pricestreamd.feeds.transports.websocket import WebSocket
from pricestreamd.providers.base import Adapter, Terms
from tests.support.adapters import Polled, Socketed, Streamed
from tests.support.provider import ScriptedProvider
from tests.support.raw_http import RawHttp, answer, stream_head


async def test_the_profile_names_the_transport() -> None:
    async def script(asked: object) -> None:
        await asked.write(answer() if "/poll" in asked.target else stream_head())  # type: ignore[attr-defined]
        await asked.gone()  # type: ignore[attr-defined]

    async with ScriptedProvider() as provider, RawHttp(script) as server:
        adapters: list[tuple[Adapter, type, int]] = [
            (Socketed(Terms(endpoint=provider.url)), WebSocket, provider.port),
            (Streamed(Terms(endpoint=server.url())), EventStream, server.port),
            (Polled(server.url(""), ["/poll"]), Polling, server.port),
        ]
        for adapter, kind, port in adapters:
            transport = await dial(adapter, Options())
            assert type(transport) is kind
            assert (transport.host, transport.port) == ("127.0.0.1", port)
            await transport.discard()


@pytest.mark.parametrize("adapter", [Socketed, Streamed])
async def test_the_address_may_go_without_a_port(adapter: type[Adapter]) -> None:
    made = adapter(Terms())
    assert made.connect_params().url == made.profile.endpoint
