"""`symbols`: the wanted symbols of a running daemon, and where each stands; adding and removing some."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

from pricestreamd.cli.tables import cell, table
from pricestreamd.cli.words import UsageError, config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.interface import SubscriptionState

if TYPE_CHECKING:
    from pricestreamd.cli.target import Target
    from pricestreamd.model.interface import SymbolReport

HELP = "show, add and remove the symbols of a running daemon"
EXAMPLE = "pricestreamd symbols list --state rejected"
_COLUMNS = ("symbol", "feed", "connection", "state", "source", "reason")
_ACTIONS = {
    "list": ("list the wanted symbols, and whether their provider has confirmed them", EXAMPLE),
    "add": ("want more symbols, from now on and after a restart", "pricestreamd symbols add TSLA ETH/USD --feed us"),
    "remove": ("want symbols no longer that were added so", "pricestreamd symbols remove TSLA"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, and with which daemon."""
    from pricestreamd.cli.target import url_argument

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (what, example) in _ACTIONS.items():
        action = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
        config_argument(action)
        url_argument(action)
        if name == "list":
            action.add_argument("--feed", metavar="NAME", help="only the symbols of this feed")
            action.add_argument("--state", choices=get_args(SubscriptionState), help="only symbols in this state")
            action.add_argument("--json", action="store_true", help="print them as JSON, as /api/v1/symbols does")
        else:
            action.add_argument("symbols", nargs="+", metavar="SYMBOL", help="one or more")
            action.add_argument("--json", action="store_true", help="print the answer as JSON")
        if name == "add":
            action.add_argument("--feed", metavar="NAME", help="the feed; it may be left out where there is only one")


def run(args: argparse.Namespace) -> int:
    """Ask or tell the daemon; 0 when it did, 69 when nobody answers or it refuses, 64 when there is no such feed."""
    from pricestreamd.cli.ask import understood
    from pricestreamd.cli.target import target

    daemon = target(args, change=args.action != "list")
    with understood(daemon):
        return {"list": _list, "add": _add, "remove": _remove}[args.action](args, daemon)


def _list(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import ask

    known: Sequence[SymbolReport] = asyncio.run(ask(daemon, "/api/v1/symbols"))["symbols"]
    feeds = asyncio.run(ask(daemon, "/api/v1/feeds")) if args.feed is not None else {}
    if args.feed is not None and args.feed not in feeds:
        raise UsageError(f"no feed {args.feed!r}; there are {', '.join(feeds)}")
    wanted = [row for row in known if args.feed in (None, row["feed"]) and args.state in (None, row["state"])]
    print(json.dumps({"symbols": wanted}) if args.json else _table(wanted, len(known)))
    return ExitCode.OK


def _add(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import tell

    feed = {} if args.feed is None else {"feed": args.feed}
    answer = asyncio.run(tell(daemon, "POST", "/api/v1/symbols", {"symbols": args.symbols, **feed}))
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK
    added = set(answer["added"])
    for row in answer["symbols"]:
        state = "added" if row["symbol"] in added else f"is there already ({row['source']})"
        print(cell(f"{row['symbol']}: {state}, feed {row['feed']}, {row['state']}"))
    for warning in answer.get("warnings", ()):
        print(cell(f"warning: {warning}"))
    return ExitCode.OK


def _remove(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import RefusedError, tell

    warnings: list[str] = []
    for symbol in args.symbols:
        try:
            answer = asyncio.run(tell(daemon, "DELETE", f"/api/v1/symbols?symbol={quote(symbol, safe='')}"))
        except RefusedError as exc:
            if exc.status != 404:
                raise
            text = f"{symbol} is not among the symbols; pricestreamd symbols list shows them"
            raise RefusedError(text, exc.status) from exc
        told = answer["warnings"] if answer else []
        warnings += told
        if not args.json:
            print(cell(f"{symbol}: removed{''.join(f'; warning: {warning}' for warning in told)}"))
    if args.json:
        print(json.dumps({"removed": args.symbols, **({"warnings": warnings} if warnings else {})}))
    return ExitCode.OK


def _table(reports: Sequence[SymbolReport], known: int) -> str:
    shown = (
        counted(len(reports), "symbol") if len(reports) == known else f"{len(reports)} of {counted(known, 'symbol')}"
    )
    if not reports:
        return shown
    rows: list[list[Any]] = [[report.get(column) for column in _COLUMNS] for report in reports]
    return "\n".join([*table(_COLUMNS, rows), shown])
