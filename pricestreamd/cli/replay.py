"""`replay`: recorded ticks through the same stream and alert rules, on a virtual clock."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pricestreamd.cli.output import replaced
from pricestreamd.cli.words import UsageError, config_argument, counted
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact

if TYPE_CHECKING:
    from pricestreamd.config.load import Loaded
    from pricestreamd.model.events import PriceAlert
    from pricestreamd.replay.runner import ReplaySummary

HELP = "run recorded ticks through the stream and the alerts, faster than life"
EXAMPLE = "pricestreamd replay trades.csv.gz --config config/price-stream.yaml --events events.jsonl"
# What a replay has a use for: it connects to nothing and delivers nothing.
_SECTIONS = ("stream", "alerts")
# A look at the progress this often disturbs nobody.
_PROGRESS_SECONDS = 0.2
# With so many alerts the last firing of each is told, too.
_FEW_ALERTS = 10


def arguments(parser: argparse.ArgumentParser) -> None:
    """Files and what to do with them."""
    config_argument(parser)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="CSV, also .gz and .zst, with a header that names the columns: ts_ms (epoch milliseconds) or timestamp "
        "(epoch seconds); symbol; price, or bid and ask; optional: size or volume",
    )
    parser.add_argument("--events", metavar="OUT", help="write every event here, one JSON object a line")
    parser.add_argument("--symbols", metavar="GLOB", help="take these symbols only, such as 'BTC/*'")
    parser.add_argument("--speed", default="max", type=_speed, help="max, or how many times as fast as life")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise argparse.ArgumentTypeError(f"expected max or a number above 0, got {text!r}")
    return speed


def run(args: argparse.Namespace) -> int:
    """Replay the files and print what came of them."""
    from pricestreamd.replay.input_error import ReplayInputError

    loaded = _configuration(args.config)
    for warning in loaded.warnings if loaded else ():
        print(redact(f"warning: {warning}"), file=sys.stderr)
    last: dict[str, PriceAlert] = {}
    try:
        played = _play(args, loaded, last)
    except ReplayInputError as exc:
        raise UsageError(f"{exc}{_unchanged(args.events)}") from exc
    except OSError as exc:
        raise OSError(f"{exc}{_unchanged(args.events)}") from exc
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(
        json.dumps(played.to_dict())
        if args.json
        else redact(_text(played, last, "no alerts in the configuration" if loaded else "no alerts (no configuration)"))
    )
    return ExitCode.OK


def _unchanged(events: str | None) -> str:
    return f"; {events} is left as it was" if events else ""


def _play(args: argparse.Namespace, loaded: Loaded | None, last: dict[str, PriceAlert]) -> ReplaySummary:
    """Replay; `last` gets the last firing of each alert."""
    from pricestreamd.replay.runner import ReplayRun

    def fired(event: Any) -> None:
        last[event.alert_id] = event

    settings, rules = (loaded.settings.stream, loaded.alert_rules) if loaded else (None, ())
    with replaced(args.events, args.files) if args.events else nullcontext() as events:
        replay = ReplayRun(settings, alerts=rules, events=events)
        if len(rules) <= _FEW_ALERTS:
            replay.dispatcher.attach("price.alert", fired, name="replay last firings")
        ticks = replay.read(args.files, symbols=args.symbols, progress=_progress(args.files))
        return replay.run(ticks) if args.speed is None else asyncio.run(replay.play(ticks, args.speed))


def _configuration(path: str | None) -> Loaded | None:
    """The one named or found; a replay needs none."""
    from pricestreamd.config.load import find_config, load

    try:
        found = find_config(path, os.environ)
    except ConfigError:
        return None
    return load(found, environ=os.environ, feeds_required=False, sections=_SECTIONS)


def _progress(files: list[str]) -> Callable[[int], object] | None:
    """A bar on a terminal, from the compressed bytes read so far."""
    if not sys.stderr.isatty():
        return None
    total = sum(Path(file).stat().st_size for file in files if Path(file).exists()) or 1
    drawn = 0.0

    def draw(done: int) -> None:
        nonlocal drawn
        if (now := time.monotonic()) - drawn >= _PROGRESS_SECONDS:
            drawn = now
            filled = min(40, 40 * done // total)
            print(f"\r[{'#' * filled}{' ' * (40 - filled)}] {100 * done // total:3} %", end="", file=sys.stderr)

    return draw


def _text(summary: ReplaySummary, last: Mapping[str, PriceAlert], no_alerts: str) -> str:
    lines = [f"ticks     {summary.ticks}"]
    if summary.first is not None and summary.last is not None:
        lines.append(f"from      {_clock(summary.first)}")
        lines.append(f"to        {_clock(summary.last)}")
    lines += [f"changes   {summary.changes}", f"spikes    {summary.spikes}"]
    lines += [f"suspect   {summary.suspect}"] if summary.suspect else []
    lines += [f"rejected  {count} ({reason})" for reason, count in summary.rejected.items()]
    if summary.rejected_at:
        lines.append(f"          first unreadable row: {summary.rejected_at}")
    lines += ["updates", *(f"  {symbol:<12} {count}" for symbol, count in summary.updates.items())]
    if not summary.alerts:
        return "\n".join([*lines, no_alerts])
    lines.append("alerts")
    for alert, count in summary.alerts.items():
        lines.append(f"  {alert:<24} {counted(count, 'firing')}")
        if alert in last:
            lines.append(f"    last: {last[alert].alert_text}")
    return "\n".join(lines)


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(sep=" ", timespec="milliseconds")
