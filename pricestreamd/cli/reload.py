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
from pricestreamd.model.secret import redact

HELP = "let a running daemon read its configuration again, and say how that went"
EXAMPLE = "pricestreamd reload --config /etc/price-stream/config.yaml"
# Files, modules of the user's, and databases of watchlists are read.
_TIMEOUT = 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which daemon."""
    from pricestreamd.cli.ask import url_argument

    config_argument(parser)
    url_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """0 when the new configuration is in force; 78 when it is refused and the old one stays; 69 when nobody answers."""
    from pricestreamd.cli.ask import CertificateWantedError, RefusedError, UnreachableError, target, tell

    try:
        daemon = target(args, change=True)
    except ConfigError:
        # Where it answers cannot be read; its log and metrics should tell, too.
        _signalled()
        raise
    try:
        answer = asyncio.run(tell(daemon, "POST", "/-/reload", timeout=_TIMEOUT))
    except RefusedError as exc:
        for key, detail in exc.faults:
            place, _, message = detail.partition(": ")
            print(cell(redact(f"{place}: {key}: {message}")), file=sys.stderr)
        print(cell(redact(f"pricestreamd reload: {exc}")), file=sys.stderr)
        return ExitCode.CONFIG if exc.status == 422 else ExitCode.REFUSED
    except UnreachableError as exc:
        if isinstance(exc, CertificateWantedError) and _signalled():
            print("it wants a certificate, so it was asked by SIGHUP to reload: the outcome is in its log")
            return ExitCode.OK
        print(cell(redact(f"pricestreamd reload: {exc}")), file=sys.stderr)
        return ExitCode.REFUSED
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK
    changed, restart = answer["changed"], answer["restart"]
    print(cell(f"reloaded: {', '.join(changed) if changed else 'nothing has changed'}"))
    if restart:
        print(cell(f"at the next start: {', '.join(restart)}"))
    for warning in answer["warnings"]:
        print(cell(f"warning: {warning}"))
    return ExitCode.OK


def _signalled() -> bool:
    """Ask by SIGHUP the daemon that systemd says is concerned; whether it says so."""
    process = os.environ.get("MAINPID", "")
    if not process.isdigit() or int(process) <= 1:
        return False
    os.kill(int(process), signal.SIGHUP)
    return True
