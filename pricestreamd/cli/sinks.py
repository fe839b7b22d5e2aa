"""`sinks`: how each sink of a running daemon is, and one of them tried out."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pricestreamd.cli.tables import cell, table
from pricestreamd.cli.words import config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.ages import ago, utc

if TYPE_CHECKING:
    from pricestreamd.cli.target import Target
    from pricestreamd.http.delivery_control import SinkReport

HELP = "show how the sinks of a running daemon are, and try one out"
EXAMPLE = "pricestreamd sinks test phone"
_COLUMNS = ("sink", "type", "state", "queued", "owed", "given up", "delivered", "dropped", "last success")
_ACTIONS = {
    "list": ("list the sinks, whether they deliver, and what they owe", "pricestreamd sinks list"),
    "test": ("send a test event through one sink, and say what came of it", "pricestreamd sinks test phone"),
}
# A test waits for its turn and for an answer; the daemon gives up before.
_TEST_TIMEOUT = 40.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, and with which daemon."""
    from pricestreamd.cli.target import url_argument

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (what, example) in _ACTIONS.items():
        action = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
        config_argument(action)
        url_argument(action)
        action.add_argument("--json", action="store_true", help="print the answer as JSON")
        if name == "test":
            action.add_argument("name", metavar="NAME", help="as `sinks list` shows it")
            action.add_argument(
                "--call", action="store_true", help="of a sink `call`: call its function, whatever that does"
            )


def run(args: argparse.Namespace) -> int:
    """Ask the daemon; 0 when it answers and a test went well, 69 when not."""
    from pricestreamd.cli.ask import understood
    from pricestreamd.cli.target import target

    daemon = target(args, change=args.action == "test")
    with understood(daemon):
        return {"list": _list, "test": _test}[args.action](args, daemon)


def _list(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import ask

    answer = asyncio.run(ask(daemon, "/api/v1/sinks"))
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK
    now = time.time()
    reports: Sequence[SinkReport] = answer["sinks"]
    for line in [*table(_COLUMNS, [_row(one, now) for one in reports]), counted(len(reports), "sink")]:
        print(line)
    for one in reports:
        for line in details(one, now):
            print(cell(f"{one['sink']}: {line}"))
    return ExitCode.OK


def _row(one: SinkReport, now: float) -> Sequence[Any]:
    success = one["last_success"]
    return (
        one["sink"],
        one["type"],
        one["state"].replace("_", " "),
        one["queued"],
        one["owed"],
        one["given_up"],
        one["delivered"],
        sum(one["dropped"].values()),
        None if success is None else ago(now - success),
    )


def details(one: SinkReport, now: float) -> list[str]:
    """What a person must know of a sink beside its numbers."""
    lines = []
    if one["state"] != "delivering":
        lines.append(standing(one, now))
    elif one["last_error"] is not None and one["last_error_at"] is not None:
        lines.append(f"last error {ago(now - one['last_error_at'])}: {one['last_error']}")
    if one["dropped"]:
        lines.append(f"dropped: {_reasons(one['dropped'])}")
    if one["state"] != "unclaimed" and one["given_up"]:
        lines.append(f"{one['given_up']} given up and kept (pricestreamd outbox list --dead)")
    return lines


def standing(one: SinkReport, now: float) -> str:
    """Its state, why, and since when."""
    since = "" if one["since"] is None else f" since {utc(one['since'])} ({ago(now - one['since'])})"
    why = f": {one['why']}" if one["why"] else ""
    return f"{one['state'].replace('_', ' ')}{since}{why}"


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items())


def _test(args: argparse.Namespace, daemon: Target) -> int:
    from pricestreamd.cli.ask import RefusedError, ask, tell
    from pricestreamd.config.suggest import did_you_mean

    path = f"/api/v1/sinks/{quote(args.name, safe='')}/test{'?call=true' if args.call else ''}"
    try:
        answer = asyncio.run(tell(daemon, "POST", path, timeout=_TEST_TIMEOUT))
    except RefusedError as exc:
        if exc.status != 404:
            raise
        known = [one["sink"] for one in asyncio.run(ask(daemon, "/api/v1/sinks"))["sinks"]]
        text = f"no sink {args.name!r}{did_you_mean(args.name, known)} (pricestreamd sinks list shows them)"
        raise RefusedError(text, exc.status) from exc
    ok = bool(answer["ok"])
    if args.json:
        print(json.dumps(answer))
        return ExitCode.OK if ok else ExitCode.REFUSED
    for sentence in answer["sentences"]:
        print(cell(f"{answer['sink']}: {sentence}"))
    return ExitCode.OK if ok else ExitCode.REFUSED
