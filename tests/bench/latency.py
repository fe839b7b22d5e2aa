"""Ages of prices at a listener: client, stream service and dispatcher in a process of their own."""

import asyncio
import json
import subprocess
import sys
import time

from tests.bench.processes import Sender
from tests.bench.receivers import percentiles


def through_the_stream(*, frames: int, rate: float) -> dict[str, float]:
    with Sender(frames=frames, rate=rate) as sender:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.latency", str(sender.port), str(frames)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sender.go()
        result: dict[str, float] = json.loads(process.communicate(timeout=300)[0])
        return result


async def main() -> None:
    from pricestreamd import EventDispatcher, PriceStreamService, WebSocketClient

    port, frames = int(sys.argv[1]), int(sys.argv[2])
    client = WebSocketClient("twelvedata", api_key="bench-key", endpoint=f"ws://127.0.0.1:{port}/")
    ages: list[float] = []
    done = asyncio.Event()
    async with EventDispatcher() as dispatcher:
        stream = PriceStreamService(client, dispatcher)

        @dispatcher.on("price.update")
        def take(update: object) -> None:
            ages.append(time.time() - update.timestamp)  # type: ignore[attr-defined]
            if len(ages) == frames:
                done.set()

        await stream.start([f"SYM{at}" for at in range(100)])
        print("ready", flush=True)
        await done.wait()
        await stream.stop()
    print(json.dumps(percentiles(ages[1:])))


if __name__ == "__main__":
    asyncio.run(main())
