"""`simulate`: a local server that speaks a provider's own protocol."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import signal
from contextlib import AsyncExitStack

from pricestreamd.cli.words import UsageError, counted, host_and_port
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.daemon.exit_code import ExitCode

HELP = "run a local server that speaks a provider's protocol"
EXAMPLE = "pricestreamd simulate --provider twelvedata --listen 127.0.0.1:9778 --rate 100"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, and where."""
    parser.add_argument(
        "--provider", default="twelvedata", type=_provider, help="whose protocol to speak (default: %(default)s)"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:9778",
        type=host_and_port,
        metavar="H:PORT",
        help="port 0: a free one (default: %(default)s)",
    )
    parser.add_argument("--from", dest="source", metavar="FILE", help="play recorded ticks instead of synthetic prices")
    parser.add_argument(
        "--rate", default=20.0, type=_rate, metavar="N|max", help="ticks a second over all symbols (default: 20)"
    )
    parser.add_argument("--api-key", metavar="K", help="refuse every other key")
    parser.add_argument(
        "--scenario", default="steady", type=_scenario, metavar="S", help="how it misbehaves (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic prices (default: %(default)s)")
    parser.add_argument("--list-scenarios", action="store_true", help="print the scenarios and what they do")
    parser.add_argument("--json", action="store_true", help="print the list of scenarios as JSON")


def _provider(text: str) -> str:
    from pricestreamd.simulator.dialects import dialect_names

    if text not in dialect_names():
        hint = did_you_mean(text, dialect_names()) or f"; there is {one_of(dialect_names())}"
        raise argparse.ArgumentTypeError(f"no simulator of provider {text!r}{hint}")
    return text


def _scenario(text: str) -> str:
    from pricestreamd.simulator.scenarios import SCENARIOS

    if text not in SCENARIOS:
        hint = did_you_mean(text, SCENARIOS) or f"; there are {one_of(SCENARIOS)}"
        raise argparse.ArgumentTypeError(f"no scenario {text!r}{hint}")
    return text


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
    from pricestreamd.replay.input_error import ReplayInputError
    from pricestreamd.simulator.scenarios import SCENARIOS, listing

    if args.list_scenarios:
        known = [{"name": scenario.name, "summary": scenario.summary} for scenario in SCENARIOS.values()]
        print(json.dumps(known) if args.json else listing())
        return ExitCode.OK
    try:
        return asyncio.run(_serve(args))
    except ReplayInputError as exc:
        raise UsageError(f"--from {exc}") from exc


async def _serve(args: argparse.Namespace) -> ExitCode:
    from pricestreamd.http.port_holder import listen_refusal
    from pricestreamd.simulator.server import Simulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    host, port = args.listen
    simulator = Simulator(
        args.provider,
        host,
        port,
        source=args.source,
        rate=args.rate,
        api_key=args.api_key,
        scenario=args.scenario,
        seed=args.seed,
    )
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(simulator)
        except OSError as exc:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise OSError(listen_refusal(address, exc)) from exc
        print(f"{args.provider} simulated at {simulator.url} (Ctrl-C ends it); in the configuration of a feed:")
        print(f"    provider: {args.provider}\n    endpoint: {simulator.url}", flush=True)
        await stop.wait()
    print(f"sent {counted(simulator.sent.total(), 'price')} over {counted(simulator.connects, 'connection')}")
    return ExitCode.OK
