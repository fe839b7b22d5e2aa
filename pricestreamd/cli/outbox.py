"""`outbox`: what the sinks of a running daemon owe, and what was given up: listed, tried now, or dropped for good."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pricestreamd.cli.tables import cell, table
from pricestreamd.cli.words import UsageError, config_argument, counted, on_terminal
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.ages import ago, ahead

if TYPE_CHECKING:
    from pricestreamd.cli.ask import RefusedError
    from pricestreamd.cli.target import Target
    from pricestreamd.http.delivery_control import DroppedOutbox, OwedDelivery

HELP = "show, retry and drop what the sinks of a running daemon owe"
EXAMPLE = "pricestreamd outbox retry --sink phone"
_COLUMNS = ("id", "sink", "event", "event id", "state", "attempts", "next", "since", "last error")
_ACTIONS = {
    "list": ("list what waits for its delivery, and what was given up", "pricestreamd outbox list --dead"),
    "retry": ("try now what waits, and what was given up", "pricestreamd outbox retry --sink phone"),
    "drop": ("forget for good what was given up", "pricestreamd outbox drop --sink phone --dead"),
}
# As many as the daemon tells at once.
_MOST = 1000
_LISTED = 100
# Before a question, so many are shown.
_SHOWN = 10
# The ids of one request to drop stand in its address, whose length is bounded.
_IDS_AT_ONCE = 200


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, and with which daemon."""
    from pricestreamd.cli.target import url_argument

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers = {}
    for name, (what, example) in _ACTIONS.items():
        parsers[name] = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
        config_argument(parsers[name])
        url_argument(parsers[name])
        if name != "list":
            parsers[name].add_argument("ids", nargs="*", type=_id, metavar="ID", help="as `outbox list` shows it")
        parsers[name].add_argument("--sink", metavar="NAME", help="only what this sink owes")
        parsers[name].add_argument("--json", action="store_true", help="print the answer as JSON")
    parsers["list"].add_argument("--dead", action="store_true", help="only what was given up")
    parsers["list"].add_argument("--limit", type=_limit, default=_LISTED, metavar="N", help="at most so many (100)")
    parsers["retry"].add_argument("--all", action="store_true", help="whatever any sink owes")
    parsers["drop"].add_argument(
        "--dead", action="store_true", help="with --sink: what was given up, which is all that can go of a sink at work"
    )
    parsers["drop"].add_argument("--yes", action="store_true", help="ask no question")


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"expected an id as `outbox list` shows it, got {text!r}")
    return int(text)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MOST}, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Ask or tell the daemon; 0 when it did, 69 when nobody answers or it refuses, 64 where nothing is selected."""
    from pricestreamd.cli.ask import understood
    from pricestreamd.cli.target import target

    daemon = target(args, change=args.action != "list")
    with understood(daemon):
        return {"list": _list, "retry": _retry, "drop": _drop}[args.action](args, daemon)


def _list(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import ask

    answer = asyncio.run(ask(daemon, _listing(args.sink, args.limit, dead=args.dead)))
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK
    owed: Sequence[OwedDelivery] = answer["deliveries"]
    for line in [*_table(owed), _summed(owed)]:
        print(line)
    if len(owed) == args.limit:
        print(f"these are the newest; --limit N shows more, up to {_MOST}")
    return ExitCode.OK


def _listing(sink: str | None, limit: int, *, dead: bool) -> str:
    of_sink = "" if sink is None else f"&sink={quote(sink, safe='')}"
    return f"/api/v1/outbox?limit={limit}{of_sink}{'&dead=true' if dead else ''}"


def _table(owed: Sequence[OwedDelivery]) -> list[str]:
    now = time.time()
    return table(_COLUMNS, [_row(one, now) for one in owed]) if owed else []


def _row(one: OwedDelivery, now: float) -> Sequence[Any]:
    after = one["next_attempt_at"]
    return (
        one["id"],
        one["sink"],
        one["text"] or " ".join(filter(None, (one["event"], one["symbol"]))),
        one["event_id"],
        one["state"].replace("_", " "),
        one["attempts"],
        None if after is None else ahead(after - now),
        ago(now - one["created_at"]),
        one["last_error"],
    )


def _summed(owed: Sequence[OwedDelivery]) -> str:
    dead = sum(one["state"] == "dead" for one in owed)
    parts = [f"{dead} given up"] if dead else []
    if len(owed) - dead or not dead:
        parts.insert(0, f"{_deliveries(len(owed) - dead)} owed")
    return ", ".join(parts)


def _retry(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import RefusedError, tell

    if bool(args.ids) + (args.sink is not None) + args.all != 1:
        raise UsageError("name deliveries by their ids, or a sink with --sink, or --all")
    body = {"ids": args.ids} if args.ids else {"all": True} if args.all else {"sink": args.sink}
    try:
        answer = asyncio.run(tell(daemon, "POST", "/api/v1/outbox/retry", body))
    except RefusedError as exc:
        _refuse_gone(args, exc)
        raise
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK
    for line in _retried(answer):
        print(cell(line))
    return ExitCode.OK


def _retried(answer: Mapping[str, Any]) -> Iterator[str]:
    for sink, count in answer["retried"].items():
        again = answer["revived"].get(sink, 0)
        more = f", {again} of them given up before" if again else ""
        started = "started again; " if sink in answer["started"] else ""
        events = answer["events"].get(sink, 0)
        others = f"; {counted(events, 'other event')} in its queue, too" if events else ""
        yield f"{sink}: {started}{_deliveries(count)} tried now{more}{others}"
    for sink, count in answer["unclaimed"].items():
        drop = f"pricestreamd outbox drop --sink {shlex.quote(sink)}"
        yield f"{sink}: {_deliveries(count)} not tried: no sink of that name is configured; {drop} forgets what waits"
    if answer["unknown"]:
        yield f"not in the outbox (any more): {', '.join(map(str, answer['unknown']))}"
    if any(answer["retried"].values()):
        yield "pricestreamd outbox list shows what is left"
    elif not answer["retried"] and not answer["unclaimed"]:
        yield "nothing is owed"


def _deliveries(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count} deliveries"


def _drop(args: argparse.Namespace, daemon: Target) -> int:
    if bool(args.ids) is (args.sink is not None) or (args.ids and args.dead):
        raise UsageError("name deliveries by their ids, or a sink with --sink NAME --dead")
    if not args.yes and not _agreed(args, daemon):
        print("nothing was dropped")
        return ExitCode.OK
    answer = _dropped(args, daemon)
    for line in [json.dumps(answer)] if args.json else map(cell, _told(answer)):
        print(line)
    return ExitCode.OK


def _dropped(args: argparse.Namespace, daemon: Target) -> DroppedOutbox:
    from pricestreamd.cli.ask import RefusedError, tell

    answer: DroppedOutbox = {"dropped": {}, "deliveries": [], "unknown": []}
    for query in _selections(args):
        try:
            told = asyncio.run(tell(daemon, "DELETE", f"/api/v1/outbox?{query}"))
        except RefusedError as exc:
            if exc.parameter == "dead":
                text = f"the sink {args.sink} is at work, and delivers what waits: --dead drops what was given up"
                raise RefusedError(text, exc.status) from exc
            _refuse_gone(args, exc)
            raise
        for sink, count in told["dropped"].items():
            answer["dropped"][sink] = answer["dropped"].get(sink, 0) + count
        answer["deliveries"] += told["deliveries"]
        answer["unknown"] += told["unknown"]
    return answer


def _refuse_gone(args: argparse.Namespace, refusal: RefusedError) -> None:
    """Where the daemon knows none of the ids, say so in the words of the command line."""
    if args.ids and refusal.status == 404:
        text = "none of these is in the outbox (any more): pricestreamd outbox list shows what is"
        raise type(refusal)(text, refusal.status) from refusal


def _told(answer: DroppedOutbox) -> Iterator[str]:
    for one in answer["deliveries"]:
        yield f"{one['id']}: dropped: {one['sink']}, {one['event_id']}, {one['text'] or one['event']}"
    for sink, count in answer["dropped"].items():
        yield f"{sink}: {_deliveries(count)} dropped"
    if answer["unknown"]:
        yield f"not in the outbox (any more): {', '.join(map(str, answer['unknown']))}"
    if not answer["dropped"]:
        yield "nothing was there to be dropped"


def _selections(args: argparse.Namespace) -> Iterator[str]:
    if args.sink is not None:
        yield f"sink={quote(args.sink, safe='')}{'&dead=true' if args.dead else ''}"
    for start in range(0, len(args.ids), _IDS_AT_ONCE):
        yield "&".join(f"id={one}" for one in args.ids[start : start + _IDS_AT_ONCE])


def _agreed(args: argparse.Namespace, daemon: Target) -> bool:
    """Show what would go, and ask."""
    from pricestreamd.cli.ask import ask

    if not (sys.stdin and sys.stdin.isatty() and on_terminal()):
        raise UsageError("what is dropped is gone for good: say --yes where nobody can be asked")
    answer = asyncio.run(ask(daemon, _listing(args.sink, _MOST, dead=args.dead)))
    owed = [one for one in answer["deliveries"] if not args.ids or one["id"] in args.ids]
    for line in _table(owed[:_SHOWN]):
        print(line, file=sys.stderr)
    if len(owed) > _SHOWN:
        print(f"and {len(owed) - _SHOWN}{' or more' if len(owed) == _MOST else ''} others", file=sys.stderr)
    what = "these" if owed else "whatever is there"
    print(f"drop {what} for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
