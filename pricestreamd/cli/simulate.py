"""`simulate`: a local server that speaks a provider's own protocol."""

from __future__ import annotations

import argparse
import asyncio
import math
import signal

from pricestreamd.daemon.exit_code import ExitCode

HELP = "run a local server that speaks a provider's protocol"
EXAMPLE = "pricestreamd simulate --provider twelvedata --listen 127.0.0.1:9778 --rate 100"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, and where."""
    parser.add_argument("--provider", default="twelvedata", help="whose protocol to speak (default: %(default)s)")
    parser.add_argument(
        "--listen",
        default="127.0.0.1:9778",
        type=_address,
        metavar="H:PORT",
        help="port 0: a free one (default: %(default)s)",
    )
    parser.add_argument("--from", dest="source", metavar="FILE", help="play recorded ticks instead of synthetic prices")
    parser.add_argument(
        "--rate", default=20.0, type=_rate, metavar="N|max", help="ticks a second over all symbols (default: 20)"
    )
    parser.add_argument("--api-key", metavar="K", help="refuse every other key")
    parser.add_argument("--scenario", default="steady", metavar="S", help="how it misbehaves (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic prices (default: %(default)s)")
    parser.add_argument("--list-scenarios", action="store_true", help="print the scenarios and what they do")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def _rate(text: str) -> float:
    if text == "max":
        return math.inf
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected max or a number above 0, got {text!r}")
    return rate


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    from pricestreamd.simulator.scenarios import listing

    if args.list_scenarios:
        print(listing())
        return ExitCode.OK
    return asyncio.run(_serve(args))


async def _serve(args: argparse.Namespace) -> ExitCode:
    from pricestreamd.simulator.server import Simulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    host, port = args.listen
    async with Simulator(
        args.provider,
        host,
        port,
        source=args.source,
        rate=args.rate,
        api_key=args.api_key,
        scenario=args.scenario,
        seed=args.seed,
    ) as simulator:
        print(f"{args.provider} simulated at {simulator.url} (Ctrl-C ends it)", flush=True)
        await stop.wait()
    print(f"sent {simulator.sent.total()} prices over {simulator.connects} connections")
    return ExitCode.OK
