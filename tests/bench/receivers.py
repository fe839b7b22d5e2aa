"""The baselines: what aiohttp and a decoder take for the same frames, doing nothing with them.

`python -m tests.bench.receivers b1 PORT FRAMES` prints one JSON object: seconds of processor per frame, or, for
`latency`, the percentiles of the frames' ages.
"""

import asyncio
import json
import resource
import sys
import time
from typing import Any

import aiohttp
import msgspec


class Price(msgspec.Struct):
    symbol: str
    price: float
    timestamp: float


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def b1(ws: Any, frames: int) -> None:
    """aiohttp `async for` and the standard library's JSON."""
    async for message in ws:
        json.loads(message.data)["price"]
        frames -= 1
        if not frames:
            return


async def b2(ws: Any, frames: int) -> None:
    """aiohttp `async for` and a typed decoder of three fields, on bytes."""
    decode = msgspec.json.Decoder(Price).decode
    async for message in ws:
        decode(message.data)
        frames -= 1
        if not frames:
            return


async def latency(ws: Any, frames: int) -> list[float]:
    """Ages of frames at the moment they are decoded."""
    decode = msgspec.json.Decoder(Price).decode
    ages: list[float] = []
    while len(ages) < frames:
        message = await ws.receive()
        ages.append(time.time() - decode(message.data).timestamp)
    return ages


def percentiles(ages: list[float]) -> dict[str, float]:
    ages = sorted(ages)
    return {"p50": ages[len(ages) // 2], "p99": ages[len(ages) * 99 // 100]}


async def main() -> None:
    kind, port, frames = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/", decode_text=kind == "b1", compress=0) as ws,
    ):
        await ws.send_str("{}")
        await ws.receive()  # the acknowledgement
        print("ready", flush=True)
        first = await ws.receive()
        assert first.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
        begun, used = time.perf_counter(), cpu()
        if kind == "latency":
            print(json.dumps(percentiles(await latency(ws, frames - 1))))
            return
        await {"b1": b1, "b2": b2}[kind](ws, frames - 1)
        print(json.dumps({"cpu": (cpu() - used) / frames, "wall": (time.perf_counter() - begun) / frames}))


if __name__ == "__main__":
    asyncio.run(main())
