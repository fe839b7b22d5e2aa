"""The provider in a process of its own: orders come as lines on stdin, answers go as lines of JSON to stdout.

    calm            end what lasts                                   {}
    status          how things are                                   carried, open, faults left
    hush            the market is over                               {}
    audit <files>   lay the ledger beside the table in the first,    everything there is to know
                    and the absences in the second

It ends with its stdin. The first line is the address.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.soak.ledger import audit
from tests.soak.provider import NumberedProvider, recovery_times
from tests.soak.sabotage import Saboteur, plan
from tests.soak.wire import WIRES
from tests.soak.world import World


async def serve(world: World, provider_name: str, every: float) -> None:
    """Until stdin ends."""
    wire = WIRES[provider_name]()
    faults = plan(world.seed, world.seconds, every, wire)
    async with NumberedProvider(world, wire) as provider:
        saboteur = Saboteur(provider, faults)
        print(json.dumps({"url": provider.url}), flush=True)
        loop = asyncio.get_running_loop()
        sabotage: asyncio.Task[None] | None = None
        while order := (await loop.run_in_executor(None, sys.stdin.readline)).split():
            answer: dict[str, Any] = {}
            match order:
                case ["go"]:
                    sabotage = asyncio.create_task(saboteur.run())
                case ["calm"]:
                    saboteur.calm()
                case ["hush"]:
                    await provider.hush()
                case ["audit", table, absences]:
                    answer = _findings(
                        provider, saboteur, Path(table).read_bytes(), json.loads(Path(absences).read_text())
                    )
                case _:
                    pass
            if sabotage is not None and sabotage.done():
                sabotage.result()
            answer |= {"carried": len(provider.carried), "open": len(provider.clients)}
            print(json.dumps(answer), flush=True)
        if sabotage is not None:
            sabotage.cancel()


def _findings(
    provider: NumberedProvider, saboteur: Saboteur, table: bytes, absences: list[tuple[int, list[tuple[float, float]]]]
) -> dict[str, Any]:
    return {
        "audit": asdict(audit(provider.world, provider.pages, table, dict(absences))),
        "faults": saboteur.done,
        "missed_faults": saboteur.missed,
        "connects": provider.connects,
        "violations": +provider.violations,
        "recoveries": recovery_times(provider.outages),
        "never_recovered": [outage.kind for outage in provider.outages if outage.ended is None],
    }


if __name__ == "__main__":
    seed, seconds, symbols, rate, name, pause = sys.argv[1:]
    asyncio.run(serve(World(int(seed), float(seconds), int(symbols), float(rate)), name, float(pause)))
