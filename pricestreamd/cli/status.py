"""`status`: one screen about a running daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pricestreamd.cli.tables import cell
from pricestreamd.cli.words import config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.ages import ago

if TYPE_CHECKING:
    from pricestreamd.cli.target import Target
    from pricestreamd.http.delivery_control import SinkReport

HELP = "show how a running daemon is"
EXAMPLE = "pricestreamd status --url http://127.0.0.1:9777"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which daemon, and for whom the answer is."""
    from pricestreamd.cli.target import url_argument

    config_argument(parser)
    url_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the answer of /health as it is")


def run(args: argparse.Namespace) -> int:
    """Ask `/health` and `/readyz`; 0 when healthy and ready, 69 when not, or when nobody answers."""
    from pricestreamd.cli.ask import understood
    from pricestreamd.cli.target import target

    daemon = target(args)
    with understood(daemon):
        health, amiss, sinks = asyncio.run(_asked(daemon, sinks=not args.json))
        for line in [json.dumps(health)] if args.json else [*map(cell, _screen(health, amiss)), *sinks]:
            print(line)
        return ExitCode.OK if health["status"] == "healthy" and not amiss else ExitCode.REFUSED


async def _asked(daemon: Target, *, sinks: bool) -> tuple[dict[str, Any], list[str], list[str]]:
    """The answer of `/health`; what `/readyz` finds amiss; and a line for each sink of which there is one."""
    from pricestreamd.cli.ask import ask, ask_ready

    health = await ask(daemon, "/health", accept_status=(200, 503))
    # Feeds that are not live are told of on their own lines.
    amiss = [line for line in await ask_ready(daemon) if not line.startswith("feeds ")]
    return health, amiss, await _sinks(daemon) if sinks else []


async def _sinks(daemon: Target) -> list[str]:
    """A line for each sink that fails, or owes something. That they are not told is no failure of what was asked."""
    from pricestreamd.cli.ask import UnreachableError, ask

    try:
        reports = (await ask(daemon, "/api/v1/sinks"))["sinks"]
        return [cell(line) for one in reports if (line := _sink(one, time.time()))]
    except UnreachableError as exc:
        return [cell(f"sinks: not known: {exc}")]
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


def _screen(health: dict[str, Any], amiss: Sequence[str]) -> list[str]:
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
    lines[1:1] = [f"not ready: {line}" for line in amiss]
    for name, feed in health["feeds"].items():
        lines.append(f"feed {name}: {feed['provider']}, {feed['state']}")
        lines += [_connection(row) for row in feed["connections"]]
    return lines


def _connection(row: dict[str, Any]) -> str:
    counts = f"{counted(row['symbols'], 'symbol')}, {counted(row['reconnects'], 'reconnect')}"
    text = f"  connection {row['connection']}: {row['state']}, {counts}"
    return f"{text}, last error: {row['last_error']}" if row["last_error"] else text
