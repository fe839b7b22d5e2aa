"""`simulate`: a local server that speaks providers' own protocols."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from pricestreamd.cli.words import UsageError, counted, host_and_port
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.daemon.exit_code import ExitCode

if TYPE_CHECKING:
    from pricestreamd.simulator.dialect import Limits
    from pricestreamd.simulator.scenarios import Scenario
    from pricestreamd.simulator.server import Simulator

HELP = "run a local server that speaks a provider's protocol"
EXAMPLE = "pricestreamd simulate --provider twelvedata --listen 127.0.0.1:9778 --rate 100"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, where, and how badly."""
    parser.add_argument(
        "--provider",
        default=("twelvedata",),
        type=_providers,
        metavar="NAME[,NAME]",
        help="whose protocol to speak: twelvedata, binance, iex, alphavantage, generic; several share the port and the "
        "prices; all: all of them (default: twelvedata)",
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:9778",
        type=host_and_port,
        metavar="H:PORT",
        help="port 0: a free one (default: %(default)s)",
    )
    prices = parser.add_argument_group("prices")
    prices.add_argument("--from", dest="source", metavar="FILE", help="play recorded ticks instead of synthetic prices")
    prices.add_argument(
        "--rate", default=20.0, type=_rate, metavar="N|max", help="ticks a second over all symbols (default: 20)"
    )
    prices.add_argument(
        "--rates",
        default="even",
        choices=("even", "poisson"),
        help="synthetic prices: symbols in turn, or at random with rates of their own (default: %(default)s)",
    )
    prices.add_argument("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    trouble = parser.add_argument_group("trouble")
    trouble.add_argument(
        "--scenario",
        default="steady",
        type=_scenario,
        metavar="S",
        help="how it misbehaves: a name, name:VALUE, or several with + between (default: %(default)s)",
    )
    trouble.add_argument("--api-key", metavar="K", help="refuse every other key")
    trouble.add_argument(
        "--limit",
        dest="limits",
        action="append",
        default=[],
        type=_limit,
        metavar="NAME=N",
        help="allow other than the provider does, such as requests-per-day=25 or connections-per-key=none; repeatable",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="say on stderr who comes and goes, and what is done to them"
    )
    parser.add_argument("--list-scenarios", action="store_true", help="print the scenarios and what they do")
    parser.add_argument("--json", action="store_true", help="print the list of scenarios as JSON")


def _providers(text: str) -> tuple[str, ...]:
    from pricestreamd.simulator.dialects import dialect_names

    if text == "all":
        return dialect_names()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in dialect_names():
            hint = did_you_mean(name, dialect_names()) or f"; there is {one_of(dialect_names())}"
            raise argparse.ArgumentTypeError(f"no simulator of provider {name!r}{hint}")
    return names


def _scenario(text: str) -> Scenario:
    from pricestreamd.simulator.scenarios import SCENARIOS, UnknownScenario, find_scenario

    try:
        return find_scenario(text)
    except UnknownScenario as exc:
        hint = did_you_mean(exc.name, SCENARIOS) or f"; there are {one_of(SCENARIOS)}"
        raise argparse.ArgumentTypeError(f"no scenario {exc.name!r}{hint}") from exc
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


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


def _limit(text: str) -> tuple[str, float | None]:
    """The field of `Limits` and its value."""
    from pricestreamd.simulator.dialect import Limits

    known = [field.name.replace("_", "-") for field in fields(Limits)]
    name, _, value = text.partition("=")
    if name not in known:
        raise argparse.ArgumentTypeError(
            f"no limit {name!r}{did_you_mean(name, known) or f'; there is {one_of(known)}'}"
        )
    try:
        number = None if value == "none" else float(value)
    except ValueError:
        number = 0.0
    if number is not None and not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{name}: expected none or a number above 0, got {value!r}")
    return name.replace("-", "_"), number


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    from pricestreamd.replay.input_error import ReplayInputError
    from pricestreamd.simulator.scenarios import listing, rows

    if args.list_scenarios:
        print(json.dumps(rows()) if args.json else listing())
        return ExitCode.OK
    if args.verbose:
        log = logging.getLogger("pricestreamd.simulator")
        log.setLevel(logging.DEBUG)
        log.addHandler(logging.StreamHandler(sys.stderr))
    try:
        return asyncio.run(_serve(args))
    except ReplayInputError as exc:
        raise UsageError(f"--from {exc}") from exc


def _limits(provider: str, changes: list[tuple[str, float | None]]) -> Limits:
    from pricestreamd.simulator.dialects import usual_limits

    whole = {name: int(value) if value is not None and value == int(value) else value for name, value in changes}
    return replace(usual_limits(provider), **whole)  # type: ignore[arg-type]  # numbers, as all of them are


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
        rates=args.rates,
        api_key=args.api_key,
        scenario=args.scenario,
        seed=args.seed,
        limits={name: _limits(name, args.limits) for name in args.provider},
    )
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(simulator)
        except OSError as exc:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise OSError(listen_refusal(address, exc)) from exc
        for provider in args.provider:
            _announce(simulator, provider)
        await stop.wait()
    told = f"sent {counted(simulator.sent.total(), 'price')} over {counted(simulator.connects, 'connection')}"
    answered = simulator.asked.total()
    print(f"{told}, answered for {counted(answered, 'price')}" if answered else told)
    return ExitCode.OK


def _announce(simulator: Simulator, provider: str) -> None:
    """What to write into a configuration."""
    from pricestreamd.simulator.generic import CONFIGURATION

    url = simulator.url_of(provider)
    if provider == "generic":
        print(f"{provider} simulated at {url} (Ctrl-C ends it); a configuration:")
        print(CONFIGURATION.format(url=url), end="", flush=True)
        return
    print(f"{provider} simulated at {url} (Ctrl-C ends it); in the configuration of a feed:")
    print(f"    provider: {provider}\n    endpoint: {url}", flush=True)
