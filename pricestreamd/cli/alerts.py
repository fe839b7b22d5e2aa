"""`alerts`: the alerts of a running daemon: where each stands, why it did or did not fire; adding and removing some."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import shlex
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pricestreamd.cli.main import Parser
from pricestreamd.cli.tables import cell, table
from pricestreamd.cli.words import UsageError, config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode

if TYPE_CHECKING:
    from pricestreamd.cli.target import Target

HELP = "show, explain, add, remove and re-arm the alerts of a running daemon"
EXAMPLE = "pricestreamd alerts add AAPL --above 200 --once"
_COLUMNS = ("alert", "symbol", "conditions", "state", "price", "distance", "firings", "source")
_ACTIONS = {
    "list": ("list the alerts, and where each stands for each of its symbols", "pricestreamd alerts list"),
    "add": ("set an alert, now and after a restart", "pricestreamd alerts add AAPL --above 200 --once --notify phone"),
    "remove": ("remove alerts that were added so", "pricestreamd alerts remove AAPL-1a2b3c4d"),
    "rearm": ("let an alert begin anew, as if it had never fired", "pricestreamd alerts rearm apple --symbol AAPL"),
    "explain": ("say why an alert did or did not fire", "pricestreamd alerts explain apple AAPL"),
}
_CHANGES = frozenset({"add", "remove", "rearm"})
# Not options of their own: the symbols are arguments, and the hours have an option for each part.
_NO_OPTIONS = frozenset({"symbol", "symbols", "active"})


class _ActionParser(Parser):
    """Reads one action. `declare` adds further options when they are needed, and not whenever the program starts."""

    declare: Callable[[argparse.ArgumentParser], object] | None = None

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Declare them first."""
        declare, self.declare = self.declare, None
        if declare is not None:
            declare(self)
        return super().parse_known_args(*args, **kwargs)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, and with which daemon."""
    from pricestreamd.cli.target import url_argument

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_ActionParser)
    parsers = {}
    for name, (what, example) in _ACTIONS.items():
        parsers[name] = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
        config_argument(parsers[name])
        url_argument(parsers[name])
        parsers[name].add_argument("--json", action="store_true", help="print the answer as JSON")
    parsers["list"].add_argument("--symbol", metavar="SYMBOL", help="only the alerts on this symbol")
    parsers["add"].declare = _alert_options
    parsers["add"].add_argument("symbols", nargs="+", metavar="SYMBOL", help="one or more, or a glob such as 'BTC/*'")
    parsers["remove"].add_argument("ids", nargs="*", metavar="ID", help="as `alerts list` shows them")
    parsers["remove"].add_argument("--symbol", metavar="SYMBOL", help="all alerts on this symbol that were added so")
    parsers["rearm"].add_argument("id", metavar="ID", help="as `alerts list` shows it")
    parsers["rearm"].add_argument("--symbol", metavar="SYMBOL", help="for this symbol only")
    parsers["explain"].add_argument("id", metavar="ID", help="as `alerts list` shows it")
    parsers["explain"].add_argument("symbol", nargs="?", metavar="SYMBOL", help="for this symbol only")


def _alert_options(parser: argparse.ArgumentParser) -> None:
    from pricestreamd.config.schema import json_schema

    kinds = json_schema()["$defs"]
    for key, about in kinds["Alert"]["properties"].items():
        if key not in _NO_OPTIONS:
            _option(parser, key, about)
    for key, about in kinds["Active"]["properties"].items():
        _option(parser, f"active_{key}", {**about, "description": f"Its hours: {about['description']}"})


def _option(parser: argparse.ArgumentParser, key: str, about: Mapping[str, Any]) -> None:
    """The option of one key of an alert, by its part of the JSON Schema."""
    choices = [about, *about.get("anyOf", ())]
    words = next((one["enum"] for one in choices if "enum" in one), None)
    types = [one.get("type") for one in choices]
    help_ = about["description"].replace("%", "%%")
    name = f"--{key.replace('_', '-')}"
    # A word of the schema where words are all that there is.
    if words is not None and not any("duration" in one.get("$ref", "") for one in choices):
        parser.add_argument(name, dest=key, choices=words, help=help_)
    elif "boolean" in types:
        parser.add_argument(name, dest=key, action="store_true", default=None, help=help_)
    elif ["array", "null"] in types:
        parser.add_argument(name, dest=key, action="append", metavar="NAME", help=f"{help_} May be given again.")
    elif "number" in types:
        parser.add_argument(name, dest=key, type=_number, metavar="N", help=help_)
    else:
        metavar, such_as = _form(key, {one.get("$ref", "").rpartition("/")[2] for one in choices})
        parser.add_argument(name, dest=key, metavar=metavar, help=f"{help_}{such_as}")


def _form(key: str, kinds: Collection[str]) -> tuple[str, str]:
    """What stands for the value of `key` in the help, and an example; `kinds` are those of its schema."""
    if "duration" in kinds:
        return "TIME", " For example 90s, 10m."
    if "percent" in kinds:
        return "PERCENT", " For example 0.5%%."
    return key.rpartition("_")[2].upper(), ""


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return number


def run(args: argparse.Namespace) -> int:
    """Ask or tell the daemon; 0 when it did, 69 when nobody answers or it refuses."""
    from pricestreamd.cli.ask import understood
    from pricestreamd.cli.target import target

    actions = {"list": _list, "add": _add, "remove": _remove, "rearm": _rearm, "explain": _explain}
    daemon = target(args, change=args.action in _CHANGES)
    with understood(daemon):
        answer, lines = asyncio.run(actions[args.action](args, daemon))
    for line in [json.dumps(answer)] if args.json else lines:
        print(line)
    return ExitCode.OK


Told = tuple[Any, list[str]]
"""An answer as JSON, and as lines."""


async def _list(args: argparse.Namespace, daemon: Target) -> Told:
    from pricestreamd.cli.ask import ask
    from pricestreamd.model.tick import symbol_key

    alerts = (await ask(daemon, "/api/v1/alerts"))["alerts"]
    key = symbol_key(args.symbol) if args.symbol is not None else None
    rows = []
    shown = []
    for alert in alerts:
        places = [(symbol, place) for symbol, place in alert["places"].items() if key in (None, symbol_key(symbol))]
        if not places and key is not None and key not in alert["symbols"]:
            continue
        shown.append(alert)
        rows += [_row(alert, symbol, place) for symbol, place in places]
        if not places:
            rows.append(_row(alert, ",".join(alert["symbols"]), None))
    return {"alerts": shown}, [*(table(_COLUMNS, rows) if rows else ()), counted(len(shown), "alert")]


def _row(alert: Mapping[str, Any], symbol: str, place: Mapping[str, Any] | None) -> Sequence[Any]:
    state = place or {"state": "no feed has it", "price": None, "distance_percent": None, "firings": 0}
    distance = state["distance_percent"]
    away = None if distance is None else f"{distance:+.2f} %"
    return (
        alert["alert_id"],
        symbol,
        alert["text"],
        state["state"],
        state["price"],
        away,
        state["firings"],
        alert["source"],
    )


async def _add(args: argparse.Namespace, daemon: Target) -> Told:
    from pricestreamd.cli.ask import tell

    answer = await tell(daemon, "POST", "/api/v1/alerts", _body(vars(args)))
    lines = [f"{answer['alert_id']}: set on {', '.join(answer['symbols'])}: {answer['text']}"]
    lines += [f"warning: {_advice(warning, args.symbols)}" for warning in answer.get("warnings", ())]
    return answer, [cell(line) for line in lines]


def _advice(warning: str, symbols: Sequence[str]) -> str:
    """A warning of the daemon's with the command that helps, in the place of the request that does."""
    from pricestreamd.stream.alert_rule import is_glob

    said, request, _ = warning.partition(" (POST /api/v1/symbols)")
    if not request or any(map(is_glob, symbols)):
        return said
    return f"{said}: pricestreamd symbols add {shlex.join(symbols)}"


def _body(given: Mapping[str, Any]) -> dict[str, Any]:
    """The alert that the options describe."""
    from pricestreamd.config.shape import settings_of
    from pricestreamd.stream.settings import ActiveSettings, AlertSettings

    symbols = given["symbols"]
    body = {"symbol": symbols[0]} if len(symbols) == 1 else {"symbols": symbols}
    body |= {key: given[key] for key in settings_of(AlertSettings) if key not in _NO_OPTIONS and given[key] is not None}
    active = {key: given[f"active_{key}"] for key in settings_of(ActiveSettings) if given[f"active_{key}"] is not None}
    return {**body, "active": active} if active else body


async def _remove(args: argparse.Namespace, daemon: Target) -> Told:
    from pricestreamd.cli.ask import UnreachableError, tell

    if bool(args.ids) is (args.symbol is not None):
        raise UsageError("name alerts by their ids, or a symbol with --symbol (see pricestreamd alerts remove --help)")
    if args.symbol is None:
        for number, alert_id in enumerate(args.ids):
            try:
                await _about(alert_id, daemon, tell(daemon, "DELETE", _path(alert_id)))
            except UnreachableError as exc:
                which = "" if alert_id in str(exc) else f"{alert_id}: "
                before = f" (removed before it: {', '.join(args.ids[:number])})" if number else ""
                raise UnreachableError(f"{which}{exc}{before}") from exc
        return {"removed": args.ids}, [cell(f"{alert_id}: removed") for alert_id in args.ids]
    answer = await tell(daemon, "DELETE", f"/api/v1/alerts?symbol={quote(args.symbol, safe='')}")
    words = {
        "removed": "removed",
        "changed": f"stays for its symbols other than {args.symbol}",
        "kept": "stays: it is in the configuration",
    }
    lines = [cell(f"{alert_id}: {word}") for key, word in words.items() for alert_id in answer[key]]
    return answer, lines or [cell(f"no alert is on {args.symbol}")]


async def _rearm(args: argparse.Namespace, daemon: Target) -> Told:
    from pricestreamd.cli.ask import tell

    answer = await _about(args.id, daemon, tell(daemon, "POST", f"{_path(args.id)}/rearm{_symbol(args.symbol)}"))
    return answer, [cell(f"{args.id}: armed again{'' if args.symbol is None else f' for {args.symbol}'}")]


async def _explain(args: argparse.Namespace, daemon: Target) -> Told:
    from pricestreamd.cli.ask import ask
    from pricestreamd.cli.delivery_log import delivery_log

    answer = await _about(args.id, daemon, ask(daemon, f"{_path(args.id)}/explain{_symbol(args.symbol)}"))
    lines: list[str] = []
    for told in answer["explanations"]:
        first, *others = told["sentences"]
        lines += [cell(first), *(f"  {cell(sentence)}" for sentence in others)]
        lines += [f"  {line}" for line in delivery_log(told["last_firings"] or (), time.time())]
    if answer["more"]:
        lines.append(f"and {counted(answer['more'], 'symbol')} more: name one to be told of it")
    return answer, lines or ["no feed has a symbol of this alert, so it cannot fire"]


async def _about(alert_id: str, daemon: Target, request: Awaitable[Any]) -> Any:
    """The answer to a request about one alert. Where there is none of that id, the nearest one is named.

    Raises:
        UnreachableError: what the request raises, in words of the command line.
    """
    from pricestreamd.cli.ask import RefusedError, ask
    from pricestreamd.config.suggest import did_you_mean

    try:
        return await request
    except RefusedError as exc:
        if exc.status != 404 or exc.parameter is not None:
            raise
        known = [alert["alert_id"] for alert in (await ask(daemon, "/api/v1/alerts"))["alerts"]]
        near = did_you_mean(alert_id, known)
        raise RefusedError(f"no alert {alert_id!r}{near} (pricestreamd alerts list shows them)", exc.status) from exc


def _path(alert_id: str) -> str:
    return f"/api/v1/alerts/{quote(alert_id, safe='')}"


def _symbol(symbol: str | None) -> str:
    return "" if symbol is None else f"?symbol={quote(symbol, safe='')}"
