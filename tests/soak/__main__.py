"""`python -m tests.soak --minutes 10 --seed N`: the figures on stdout; exit code 1 where a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from tests.soak.figures import broken_promises, lines
from tests.soak.harness import Soak, run
from tests.soak.ledger import MARGIN
from tests.soak.wire import WIRES
from tests.soak.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults go on (default: 10)")
    parser.add_argument("--seed", type=int, help="the same seed, the same prices and faults (default: a new one)")
    parser.add_argument("--provider", choices=sorted(WIRES), default="binance")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--connections", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1000.0, help="ticks a second, all together (default: 1000)")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between faults, on average (default: 3)")
    chosen = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    world = World(seed, chosen.minutes * 60, chosen.symbols, chosen.rate)
    print(f"soak: {chosen.minutes:g} minutes of {chosen.provider}, seed {seed}", flush=True)

    def tell(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    measured, found = asyncio.run(run(Soak(world, chosen.provider, chosen.every, chosen.connections), tell))
    for line in lines(measured, found, MARGIN):
        print(line)
    broken = list(broken_promises(measured, found))
    for promise in broken:
        print(f"BROKEN: {promise}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
