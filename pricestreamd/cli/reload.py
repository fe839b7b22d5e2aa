"""`reload`: a running daemon reads its configuration again, and we wait for what comes of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys

from pricestreamd.cli.tables import cell
from pricestreamd.cli.words import config_argument
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError

HELP = "let a running daemon read its configuration again, and say how that went"
EXAMPLE = "pricestreamd reload --config /etc/price-stream/config.yaml"
# Files, modules of the user's, and databases of watchlists are read.
_TIMEOUT = 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which daemon."""
    from pricestreamd.cli.target import url_argument

    config_argument(parser)
    url_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """0 when the new configuration is in force; 78 when it is refused and the old one stays; 69 when nobody answers."""
    from pricestreamd.cli.ask import CertificateWantedError, RefusedError, tell, understood
    from pricestreamd.cli.target import target

    try:
        daemon = target(args, change=True)
    except ConfigError:
        # Where it answers cannot be read; its log and metrics should tell, too.
        _signalled()
        raise
    try:
        answer = asyncio.run(tell(daemon, "POST", "/-/reload", timeout=_TIMEOUT))
    except RefusedError as exc:
        if exc.status != 422:
            raise
        for key, detail in exc.faults:
            place, _, message = detail.partition(": ")
            print(cell(f"{place}: {key}: {message}"), file=sys.stderr)
        print(cell(f"pricestreamd reload: {exc}"), file=sys.stderr)
        return ExitCode.CONFIG
    except CertificateWantedError:
        if not _signalled():
            raise
        print("it wants a certificate, so it was asked by SIGHUP to reload: the outcome is in its log")
        return ExitCode.OK
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK
    with understood(daemon):
        changed, restart, warnings = answer["changed"], answer["restart"], answer["warnings"]
    print(cell(f"reloaded: {', '.join(changed) if changed else 'nothing has changed'}"))
    if restart:
        print(cell(f"at the next start: {', '.join(restart)}"))
    for warning in warnings:
        print(cell(f"warning: {warning}"))
    return ExitCode.OK


def _signalled() -> bool:
    """Ask by SIGHUP the daemon that systemd says is concerned; whether it says so."""
    process = os.environ.get("MAINPID", "")
    if not process.isdigit() or int(process) <= 1:
        return False
    os.kill(int(process), signal.SIGHUP)
    return True
