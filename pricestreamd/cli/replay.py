"""`replay`: recorded ticks through the same stream and alert rules, on a virtual clock."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pricestreamd.cli.output import replaced
from pricestreamd.cli.words import UsageError
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError

if TYPE_CHECKING:
    from pricestreamd.replay.runner import ReplaySummary
    from pricestreamd.stream.alert_rule import AlertRule
    from pricestreamd.stream.settings import StreamSettings

HELP = "run recorded ticks through the stream and the alerts, faster than life"
EXAMPLE = "pricestreamd replay trades.csv.gz --config config/price-stream.yaml --events events.jsonl"
# What a replay has a use for: it connects to nothing and delivers nothing.
_SECTIONS = ("stream", "alerts")
# A look at the progress this often disturbs nobody.
_PROGRESS_SECONDS = 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Files and what to do with them."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="CSV with a header, also .gz and .zst")
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

    settings, rules = _settings(args.config)
    try:
        played = _play(args, settings, rules)
    except ReplayInputError as exc:
        raise UsageError(f"{exc}{_unchanged(args.events)}") from exc
    except OSError as exc:
        raise OSError(f"{exc}{_unchanged(args.events)}") from exc
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(json.dumps(played.to_dict()) if args.json else _text(played))
    return ExitCode.OK


def _unchanged(events: str | None) -> str:
    return f"; {events} is left as it was" if events else ""


def _play(args: argparse.Namespace, settings: StreamSettings, rules: Sequence[AlertRule]) -> ReplaySummary:
    from pricestreamd.replay.runner import ReplayRun

    with replaced(args.events, args.files) if args.events else nullcontext() as events:
        replay = ReplayRun(settings, alerts=rules, events=events)
        ticks = replay.read(args.files, symbols=args.symbols, progress=_progress(args.files))
        return replay.run(ticks) if args.speed is None else asyncio.run(replay.play(ticks, args.speed))


def _settings(path: str | None) -> tuple[StreamSettings, Sequence[AlertRule]]:
    """Those of the configuration named or found; without one the defaults, for a replay needs none."""
    from pricestreamd.config.load import find_config, load
    from pricestreamd.stream.settings import StreamSettings

    try:
        found = find_config(path, os.environ)
    except ConfigError:
        return StreamSettings(), ()
    loaded = load(found, environ=os.environ, feeds_required=False, sections=_SECTIONS)
    return loaded.settings.stream, loaded.alert_rules


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


def _text(summary: ReplaySummary) -> str:
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
    if summary.alerts:
        lines += ["alerts", *(f"  {alert:<24} {count} firings" for alert, count in summary.alerts.items())]
    return "\n".join(lines)


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(sep=" ", timespec="milliseconds")
