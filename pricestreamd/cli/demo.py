"""`demo`: a simulated provider and the daemon in one process, with the page's address. What `make run` runs."""

from __future__ import annotations

import argparse
import functools
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pricestreamd.cli.samples import sample
from pricestreamd.cli.words import port_number
from pricestreamd.daemon.exit_code import ExitCode

if TYPE_CHECKING:
    from pricestreamd.telemetry.logs import LogControl

HELP = "simulated prices, the daemon and its page in one process; needs no key"
EXAMPLE = "pricestreamd demo --port 9777"
_DEFAULT_PORT = 9777
# Over all symbols: lively, and a person can still follow one.
_TICKS_PER_SECOND = 25


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the page is."""
    parser.add_argument(
        "--port",
        type=port_number,
        metavar="N",
        help=f"of the page; 0: a free one (default: {_DEFAULT_PORT}, or a free one if it is taken)",
    )


def run(args: argparse.Namespace) -> int:
    """Run until a signal; what is stored goes with it."""
    from pricestreamd.daemon.run import run_to_the_end
    from pricestreamd.telemetry.logs import setup_logging
    from pricestreamd.telemetry.settings import LoggingSettings

    logs = setup_logging(LoggingSettings(), stream=sys.stderr, environ=os.environ)
    return run_to_the_end(_demo(args, logs), logs)


async def _demo(args: argparse.Namespace, logs: LogControl) -> ExitCode:
    from pricestreamd.config.load import load
    from pricestreamd.daemon.run import serve
    from pricestreamd.http.write_token import token_path
    from pricestreamd.simulator.server import Simulator

    with tempfile.TemporaryDirectory(prefix="pricestream-demo-") as folder:
        async with Simulator("twelvedata", rate=_TICKS_PER_SECOND) as simulator:
            # A reload reads the environment again, so what the sample asks for is put there.
            port = str(_port(args.port))
            os.environ.update(DEMO_ENDPOINT=simulator.url, DEMO_PORT=port, STATE_DIRECTORY=folder)
            loaded = load(sample("demo.yaml"), environ=os.environ)
            token_file = token_path(os.environ, loaded.settings.state.path)
            return await serve(loaded, logs, on_ready=functools.partial(_announce, token_file))


def _port(asked: int | None) -> int:
    """The port asked for; without one the usual, or 0 (any) where that is taken."""
    if asked is not None:
        return asked
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _DEFAULT_PORT))
        except OSError:
            return 0
    return _DEFAULT_PORT


def _announce(token_file: Path, address: str) -> None:
    """Print the page's address, with the token by which it may change alerts; the part behind # is never sent."""
    from pricestreamd.http.write_token import read_token

    token = read_token(token_file)
    part = f"#token={token.reveal()}" if token is not None else ""
    print(f"\n  The live page: {address}{part}    (Ctrl-C ends the demo)\n", flush=True)
