"""`symbols`: the wanted symbols of a running daemon, and where each stands."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from pricestreamd.cli.words import config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.interface import SubscriptionState
from pricestreamd.model.secret import redact

if TYPE_CHECKING:
    from pricestreamd.model.interface import SymbolReport

HELP = "show the symbols of a running daemon"
EXAMPLE = "pricestreamd symbols list --state rejected"
_LIST_HELP = "list the wanted symbols, and whether their provider has confirmed them"
_COLUMNS = ("symbol", "feed", "connection", "state", "source", "reason")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, and with which daemon."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help=_LIST_HELP, description=_LIST_HELP, epilog=f"example: {EXAMPLE}")
    config_argument(listing)
    listing.add_argument("--url", metavar="URL", help="of the daemon; else $PRICESTREAM_URL, else the configuration's")
    listing.add_argument("--feed", metavar="NAME", help="only the symbols of this feed")
    listing.add_argument("--state", choices=get_args(SubscriptionState), help="only symbols in this state")
    listing.add_argument("--json", action="store_true", help="print them as JSON, as /api/v1/symbols does")


def run(args: argparse.Namespace) -> int:
    """Ask `/api/v1/symbols`; 0 when somebody answers, 69 when nobody does, 64 when there is no such feed."""
    from pricestreamd.cli.ask import UnreachableError, ask, target

    try:
        daemon = target(args)
        answer = asyncio.run(ask(daemon, "/api/v1/symbols"))
        feeds = asyncio.run(ask(daemon, "/api/v1/feeds")) if args.feed is not None else {}
    except UnreachableError as exc:
        return _failed(str(exc), ExitCode.REFUSED)
    if not isinstance(answer, dict) or not isinstance(answer.get("symbols"), list):
        return _failed(f"{daemon.address} answers, but is no pricestreamd", ExitCode.REFUSED)
    if args.feed is not None and args.feed not in feeds:
        return _failed(f"no feed {args.feed!r}; there are {', '.join(feeds)}", ExitCode.USAGE)
    wanted = [
        row for row in answer["symbols"] if args.feed in (None, row["feed"]) and args.state in (None, row["state"])
    ]
    print(json.dumps({"symbols": wanted}) if args.json else _table(wanted, len(answer["symbols"])))
    return ExitCode.OK


def _failed(message: str, code: ExitCode) -> int:
    print(redact(f"pricestreamd symbols: {message}"), file=sys.stderr)
    return code


def _table(reports: Sequence[SymbolReport], known: int) -> str:
    shown = (
        counted(len(reports), "symbol") if len(reports) == known else f"{len(reports)} of {counted(known, 'symbol')}"
    )
    if not reports:
        return shown
    rows = [_COLUMNS, *(tuple(_cell(report.get(column)) for column in _COLUMNS) for report in reports)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, shown])


def _cell(value: Any) -> str:
    """A value as it can stand in one line of a terminal: a reason is what a provider said."""
    text = "-" if value is None else redact(str(value))
    return "".join(letter if letter.isprintable() else " " for letter in text)
