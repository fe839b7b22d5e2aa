"""The load: a WebSocket server that answers one subscribe, waits for a word, and sends frames as fast as they are taken.

Run as a process of its own, so that it has the other core: `python -m tests.bench.sender --symbols 100 --frames N`.
It prints its port; the line `go` on its standard input starts every connection; `rate` 0 means as fast as possible.
Frames are Twelve Data's, about 180 bytes; each is written ahead, so that the sender is never what is measured.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import sys
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK = 512


def text_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame of less than 64 KiB."""
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def price(index: int, symbols: int, timestamp: float) -> bytes:
    """Frame number `index`: the symbols in turn, prices that walk by a tick, one move in 20 above 0.1 %."""
    turn, at = divmod(index, symbols)
    step = (turn * 7919 + at * 104729) % 41 - 20
    jump = 1.002 if (turn + at) % 20 == 0 else 1.0
    value = round((100 + at + step * 0.002) * jump, 4)
    return json.dumps(
        {
            "event": "price",
            "symbol": f"SYM{at}",
            "currency": "USD",
            "exchange": "NASDAQ",
            "mic_code": "XNGS",
            "type": "Common Stock",
            "timestamp": timestamp,
            "price": value,
            "day_volume": 1_000_000 + index,
        },
        separators=(",", ":"),
    ).encode()


class Sender:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.go = asyncio.Event()
        now = int(time.time())
        block = max(args.symbols, 10_000 // args.symbols * args.symbols)
        frames = [text_frame(price(i, args.symbols, now)) for i in range(block)]
        self.chunks = [b"".join(frames[i : i + CHUNK]) for i in range(0, block, CHUNK)]
        self.sizes = [min(CHUNK, block - i) for i in range(0, block, CHUNK)]
        self.frames = frames

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        await reader.read(1)  # the first client frame is the subscribe
        success = [{"symbol": f"SYM{at}", "exchange": "NASDAQ"} for at in range(self.args.symbols)]
        ack = {"event": "subscribe-status", "status": "ok", "success": success, "fails": None}
        payload = json.dumps(ack).encode()
        long = b"\x81\x7f" + len(payload).to_bytes(8, "big") + payload
        writer.write(long if len(payload) > 65535 else text_frame(payload))
        drop = asyncio.create_task(self.discard(reader))
        await self.go.wait()
        if self.args.rate:
            await self.paced(writer)
        else:
            await self.flood(writer)
        await drop

    async def discard(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass

    async def flood(self, writer: asyncio.StreamWriter) -> None:
        left = self.args.frames
        while left > 0:
            for chunk, size in zip(self.chunks, self.sizes, strict=True):
                if left < size:
                    writer.write(b"".join(self.frames[:left]))
                    await writer.drain()
                    return
                writer.write(chunk)
                await writer.drain()
                left -= size
                if not left:
                    return

    async def paced(self, writer: asyncio.StreamWriter) -> None:
        """Each frame carries the time of its sending as its timestamp, so that the receiver knows its age."""
        begun = time.monotonic()
        for index in range(self.args.frames):
            due = begun + index / self.args.rate
            while (late := due - time.monotonic()) > 0:
                await asyncio.sleep(late if late > 0.0005 else 0)
            writer.write(text_frame(price(index, self.args.symbols, time.time())))
            if not index % 64:
                await writer.drain()
        await writer.drain()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--frames", type=int, default=300_000)
    parser.add_argument("--rate", type=float, default=0)
    sender = Sender(parser.parse_args())
    server = await asyncio.start_server(sender.serve, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    for line in iter(lambda: loop.run_in_executor(None, sys.stdin.readline), None):
        word = await line
        if not word:
            return
        sender.go.set()


if __name__ == "__main__":
    asyncio.run(main())
