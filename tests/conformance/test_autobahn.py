"""Our WebSocket transport before the Autobahn cases: it fails none that plain aiohttp passes.

Sections 1 to 7 and 10: framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, large messages. The
loop that is examined answers pings, as a session does, because the transport leaves them to it; and it reads texts
strictly and closes with 1007 where they are none, because the transport hands over bytes. An adapter, which has no use
for whole texts, rejects such a frame and keeps the connection: `tests/faults`, row W6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp
from aiohttp import WSMsgType

from pricestreamd.feeds.transports import websocket
from pricestreamd.feeds.transports.transport import Options
from pricestreamd.model.errors import TransportError
from pricestreamd.providers.base import ConnectParams
from tests.support.fuzzing_server import FuzzingServer, Verdict

SECTIONS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
CASES = 247
# A thousand messages each, small ones; what larger ones add is time.
COMPRESSED = ("12.1.1", "12.1.2", "12.1.3", "12.1.4", "12.1.5", "12.2.1", "12.2.2", "12.2.3", "13.1.1")
# aiohttp takes the code 1006 from the wire, where it must never be.
KNOWN = {"7.9.5"}
# Most of a case is waiting for the other side to close.
_AT_ONCE = 8

Client = Callable[[str], Awaitable[None]]


async def ours(url: str, *, compress: bool = False) -> None:
    """Echo over our transport."""
    transport = await websocket.dial(ConnectParams(url, compress=compress), Options())
    try:
        while True:
            kind, data, _ = await transport.receive()
            if kind is WSMsgType.TEXT:
                await transport.send(data.decode())
            elif kind is WSMsgType.BINARY:
                await transport._ws.send_bytes(data)  # no provider wants one: the port has no word for it
            elif kind is WSMsgType.PING:
                await transport.pong(bytes(data))
            elif kind is not WSMsgType.PONG:
                return
    except UnicodeDecodeError:
        await transport._ws.close(code=1007)  # as the port says goodbye, but for the code
    except TransportError:
        return
    finally:
        await transport.discard()


async def plain_aiohttp(url: str) -> None:
    """Echo over aiohttp's own client, as its documentation shows."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)


async def examined(agent: str, client: Client, *patterns: str) -> dict[str, Verdict]:
    """The verdicts on `client`."""
    async with FuzzingServer(*patterns) as server:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def run(number: int) -> None:
            async with turn:
                await client(server.case(number, agent))

        async with asyncio.TaskGroup() as runs:
            for number in range(1, await server.cases() + 1):
                runs.create_task(run(number))
        return await server.verdicts(agent)


def failed(verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    return {case: verdict for case, verdict in verdicts.items() if verdict.failed}


async def test_our_transport_fails_no_case_that_plain_aiohttp_passes() -> None:
    baseline = await examined("aiohttp", plain_aiohttp, *SECTIONS)
    verdicts = await examined("pricestreamd", ours, *SECTIONS)
    assert len(baseline) == len(verdicts) == CASES
    assert failed(verdicts).keys() <= failed(baseline).keys() <= KNOWN, failed(verdicts)


async def test_our_transport_with_compression_passes_the_cases_of_compression() -> None:
    verdicts = await examined("pricestreamd", partial(ours, compress=True), *COMPRESSED)
    assert {verdict.behavior for verdict in verdicts.values()} == {"OK"}
    assert not failed(verdicts)
    # Without it the same cases say UNIMPLEMENTED, so it is known to have been on.
    assert len(failed(await examined("pricestreamd", ours, COMPRESSED[0]))) == 1


async def test_the_examination_can_be_failed() -> None:
    async def deaf(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url, autoping=False) as ws:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    await ws.send_str(message.data + "!")

    verdicts = await examined("deaf", deaf, "1.1.2", "2.1")
    assert failed(verdicts).keys() == {"1.1.2", "2.1"}
