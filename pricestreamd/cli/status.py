"""`status`: one screen about a running daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import timedelta
from typing import Any

from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.secret import redact

HELP = "show how a running daemon is"
EXAMPLE = "pricestreamd status --url http://127.0.0.1:9777"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which daemon, and for whom the answer is."""
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
        f"{stats['updates_received']} updates ({stats['updates_per_second']:.1f}/s), "
        f"{stats['changes_detected']} changes, {stats['alerts_triggered']} alerts fired"
    )
    lines = [
        f"{health['status']}, up {timedelta(seconds=int(stats['uptime']))}",
        counts,
        f"{stats['symbols_tracked']} symbols, {stats['alerts_active']} alerts active",
    ]
    for name, feed in health["feeds"].items():
        lines.append(f"feed {name}: {feed['provider']}, {feed['state']}")
        lines += [_connection(row) for row in feed["connections"]]
    return "\n".join(lines)


def _connection(row: dict[str, Any]) -> str:
    text = f"  connection {row['connection']}: {row['state']}, {row['symbols']} symbols, {row['reconnects']} reconnects"
    return f"{text}, last error: {row['last_error']}" if row["last_error"] else text
