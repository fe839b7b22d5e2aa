"""`status`: one screen about a running daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import timedelta
from typing import Any

from pricestreamd.cli.words import config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.secret import redact

HELP = "show how a running daemon is"
EXAMPLE = "pricestreamd status --url http://127.0.0.1:9777"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which daemon, and for whom the answer is."""
    config_argument(parser)
    parser.add_argument("--url", metavar="URL", help="of the daemon; else $PRICESTREAM_URL, else the configuration's")
    parser.add_argument("--json", action="store_true", help="print the answer of /health as it is")


def run(args: argparse.Namespace) -> int:
    """Ask `/health`; 0 when healthy, 69 when not, or when nobody answers."""
    from pricestreamd.cli.ask import UnreachableError, ask, target

    try:
        daemon = target(args)
        health = asyncio.run(ask(daemon, "/health", accept_status=(200, 503)))
    except UnreachableError as exc:
        return _refused(str(exc))
    if not isinstance(health, dict) or "status" not in health:
        return _refused(f"{daemon.address} answers, but is no pricestreamd")
    print(json.dumps(health) if args.json else _screen(health))
    return ExitCode.OK if health["status"] == "healthy" else ExitCode.REFUSED


def _refused(message: str) -> int:
    print(redact(f"pricestreamd status: {message}"), file=sys.stderr)
    return ExitCode.REFUSED


def _screen(health: dict[str, Any]) -> str:
    stats = health["stats"]
    counts = (
        f"{counted(stats['updates_received'], 'update')} ({stats['updates_per_second']:.1f}/s), "
        f"{counted(stats['changes_detected'], 'change')}, {counted(stats['alerts_triggered'], 'alert')} fired"
    )
    lines = [
        f"{health['status']}, up {timedelta(seconds=int(stats['uptime']))}",
        counts,
        f"{counted(stats['symbols_tracked'], 'symbol')}, {counted(stats['alerts_active'], 'alert')} active",
    ]
    for name, feed in health["feeds"].items():
        lines.append(f"feed {name}: {feed['provider']}, {feed['state']}")
        lines += [_connection(row) for row in feed["connections"]]
    return "\n".join(lines)


def _connection(row: dict[str, Any]) -> str:
    counts = f"{counted(row['symbols'], 'symbol')}, {counted(row['reconnects'], 'reconnect')}"
    text = f"  connection {row['connection']}: {row['state']}, {counts}"
    return f"{text}, last error: {row['last_error']}" if row["last_error"] else text
