"""`status`: one screen about a running daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pricestreamd.cli.tables import cell
from pricestreamd.cli.words import config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.ages import ago
from pricestreamd.model.secret import redact

if TYPE_CHECKING:
    from pricestreamd.cli.ask import Target
    from pricestreamd.http.delivery_control import SinkReport

HELP = "show how a running daemon is"
EXAMPLE = "pricestreamd status --url http://127.0.0.1:9777"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which daemon, and for whom the answer is."""
    from pricestreamd.cli.ask import url_argument

    config_argument(parser)
    url_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the answer of /health as it is")


def run(args: argparse.Namespace) -> int:
    """Ask `/health` and `/readyz`; 0 when healthy and ready, 69 when not, or when nobody answers."""
    from pricestreamd.cli.ask import UnreachableError, ask, ask_ready, target

    try:
        daemon = target(args)
        health = asyncio.run(ask(daemon, "/health", accept_status=(200, 503)))
        # Feeds that are not live are told of below, each with its reason.
        amiss = [line for line in asyncio.run(ask_ready(daemon)) if not line.startswith("feeds ")]
        sinks = [] if args.json else asyncio.run(_sinks(daemon))
    except UnreachableError as exc:
        return _refused(str(exc))
    if not isinstance(health, dict) or "status" not in health:
        return _refused(f"{daemon.address} answers, but is no pricestreamd")
    print(json.dumps(health) if args.json else "\n".join([_screen(health, amiss), *sinks]))
    return ExitCode.OK if health["status"] == "healthy" and not amiss else ExitCode.REFUSED


async def _sinks(daemon: Target) -> list[str]:
    """A line for each sink that fails, or owes something. That they are not told is no failure of what was asked."""
    from pricestreamd.cli.ask import UnreachableError, ask

    try:
        reports = (await ask(daemon, "/api/v1/sinks"))["sinks"]
        return [cell(line) for one in reports if (line := _sink(one, time.time()))]
    except UnreachableError as exc:
        return [cell(f"sinks: not known: {redact(str(exc))}")]
    except (KeyError, TypeError, AttributeError):
        return ["sinks: not known: another version of pricestreamd answers there"]


def _sink(one: SinkReport, now: float) -> str:
    """What is amiss with a sink; empty: nothing."""
    from pricestreamd.cli.sinks import standing

    parts = []
    if one["state"] != "delivering":
        parts.append(standing(one, now))
    if one["owed"]:
        oldest = one["oldest_owed_at"]
        parts.append(f"{one['owed']} owed{'' if oldest is None else f', the oldest {ago(now - oldest)}'}")
    if one["given_up"]:
        parts.append(f"{one['given_up']} given up (pricestreamd outbox list --dead)")
    return f"sink {one['sink']}: {'; '.join(parts)}" if parts else ""


def _refused(message: str) -> int:
    print(redact(f"pricestreamd status: {message}"), file=sys.stderr)
    return ExitCode.REFUSED


def _screen(health: dict[str, Any], amiss: Sequence[str]) -> str:
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
    lines[1:1] = [cell(f"not ready: {redact(line)}") for line in amiss]
    for name, feed in health["feeds"].items():
        lines.append(f"feed {name}: {feed['provider']}, {feed['state']}")
        lines += [_connection(row) for row in feed["connections"]]
    return "\n".join(lines)


def _connection(row: dict[str, Any]) -> str:
    counts = f"{counted(row['symbols'], 'symbol')}, {counted(row['reconnects'], 'reconnect')}"
    text = f"  connection {row['connection']}: {row['state']}, {counts}"
    return f"{text}, last error: {row['last_error']}" if row["last_error"] else text
