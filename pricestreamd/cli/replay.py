"""`replay`: recorded ticks or frames through the same stream and alert rules, on a virtual clock."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pricestreamd.cli.output import replaced
from pricestreamd.cli.words import UsageError, config_argument, counted
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact
from pricestreamd.providers.profile import Channel
from pricestreamd.telemetry.plain import escaped

if TYPE_CHECKING:
    from pricestreamd.config.load import Loaded
    from pricestreamd.feeds.settings import FeedSettings
    from pricestreamd.model.events import PriceAlert
    from pricestreamd.providers.description import Description
    from pricestreamd.replay.frames import FrameFormat
    from pricestreamd.replay.runner import ReplaySummary

HELP = "run recorded ticks or frames through the stream and the alerts, faster than life"
EXAMPLE = "pricestreamd replay trades.csv.gz --config config/price-stream.yaml --events events.jsonl"
# What a replay has a use for: it connects to nothing and delivers nothing.
_SECTIONS = ("stream", "alerts")
# A look at the progress this often disturbs nobody.
_PROGRESS_SECONDS = 0.2
# No configuration is longer.
_CONFIG_BYTES = 1 << 20
# With so many alerts the last firing of each is told, too.
_FEW_ALERTS = 10


def arguments(parser: argparse.ArgumentParser) -> None:
    """Files and what to do with them."""
    config_argument(parser)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="what `record` wrote, or CSV, also .gz and .zst; CSV has a header that names the columns: ts_ms (epoch "
        "milliseconds) or timestamp (epoch seconds); symbol; price, or bid and ask; optional: size or volume",
    )
    parser.add_argument("--provider", metavar="P", help="any other file holds raw frames of this provider, one a line")
    parser.add_argument("--channel", choices=get_args(Channel), help="whose channel of it (default: its first)")
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
    no_alerts = "no alerts in the configuration" if loaded else "no alerts (no configuration)"
    lines = _lines(played, last, no_alerts)
    print(json.dumps(played.to_dict()) if args.json else redact("\n".join(map(escaped, lines))))
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
        described = _Described(args.config)
        ticks = replay.read(
            args.files,
            symbols=args.symbols,
            progress=_progress(args.files),
            raw=_raw_format(args, described),
            descriptions=described.of,
        )
        return replay.run(ticks) if args.speed is None else asyncio.run(replay.play(ticks, args.speed))


def _configuration(path: str | None) -> Loaded | None:
    """The one named or found; a replay needs none."""
    from pricestreamd.config.load import find_config, load

    try:
        found = find_config(path, os.environ)
    except ConfigError:
        return None
    return load(found, environ=os.environ, feeds_required=False, sections=_SECTIONS)


class _Described:
    """The protocols that the configuration describes, read when the first is asked for."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    @cached_property
    def feeds(self) -> Mapping[str, FeedSettings]:
        """The feeds that describe their protocol; none where they cannot be read."""
        from pricestreamd.config.load import find_config, load

        try:
            path = find_config(self._path, os.environ)
        except ConfigError:
            return {}
        # How frames are read does not hang on a key, so one that the environment lacks does not matter.
        environ = _placeholders(path) | dict(os.environ)
        try:
            feeds = load(path, environ=environ, sections=("feeds",), feeds_required=False).settings.feeds
        except ConfigError as exc:
            print(redact(f"warning: {exc.problems[0]}; so no feed there tells how frames are read"), file=sys.stderr)
            return {}
        return {name: feed for name, feed in feeds.items() if feed.description is not None}

    def of(self, feed: str) -> Description | None:
        """The description of `feed`, if there is one."""
        return self.feeds[feed].description if feed in self.feeds else None


def _placeholders(path: Path) -> dict[str, str]:
    """A text for each name of the environment that a configuration cannot do without."""
    with suppress(OSError), path.open("rb") as file:
        names = re.findall(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", file.read(_CONFIG_BYTES))
        return {name.decode(): "unset" for name in names}
    return {}


def _raw_format(args: argparse.Namespace, described: _Described) -> FrameFormat | None:
    """What `--provider` and `--channel` say."""
    from pricestreamd.providers.catalogue import profile, provider_names
    from pricestreamd.replay.frames import FrameFormat

    provider, channel = args.provider, args.channel
    if provider is None:
        if channel is not None:
            raise UsageError("--channel goes with --provider: a recording names its own")
        return None
    if provider not in provider_names():
        hint = did_you_mean(provider, provider_names()) or f"; there are {one_of(provider_names())}"
        raise UsageError(f"no provider {provider!r}{hint}")
    try:
        channels = profile(provider).channels
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    if channel is not None and channel not in channels:
        raise UsageError(f"{provider} has no channel {channel}, only {one_of(channels)}")
    fitting = {name: feed for name, feed in described.feeds.items() if feed.provider == provider}
    if len(fitting) > 1:
        raise UsageError(f"the feeds {', '.join(fitting)} describe different protocols: keep one in the configuration")
    description = next((feed.description for feed in fitting.values()), None)
    return FrameFormat(provider=provider, channel=channel, description=description)


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


def _lines(summary: ReplaySummary, last: Mapping[str, PriceAlert], no_alerts: str) -> list[str]:
    lines = [f"ticks     {summary.ticks}", *_about_frames(summary)]
    if summary.first is not None and summary.last is not None:
        lines.append(f"from      {_clock(summary.first)}")
        lines.append(f"to        {_clock(summary.last)}")
    lines += [f"changes   {summary.changes}", f"spikes    {summary.spikes}"]
    lines += [f"suspect   {summary.suspect}"] if summary.suspect else []
    lines += [f"rejected  {count} ({reason})" for reason, count in summary.rejected.items()]
    if summary.rejected_at:
        lines.append(f"          first unreadable {'frame' if summary.frames else 'row'}: {summary.rejected_at}")
    lines += ["updates", *(f"  {symbol:<12} {count}" for symbol, count in summary.updates.items())]
    if not summary.alerts:
        return [*lines, no_alerts]
    lines.append("alerts")
    for alert, count in summary.alerts.items():
        lines.append(f"  {alert:<24} {counted(count, 'firing')}")
        if alert in last:
            lines.append(f"    last: {last[alert].alert_text}")
    return lines


def _about_frames(summary: ReplaySummary) -> list[str]:
    """What files of frames held besides ticks."""
    lines = [f"frames    {summary.frames}"] if summary.frames else []
    lines += [f"ignored   {count} ({kind})" for kind, count in summary.ignored.items()]
    if summary.malformed:
        lines.append(f"malformed {summary.malformed} (lines that are no frames, the first at {summary.malformed_at})")
    if summary.lost:
        lines.append(f"lost      {summary.lost} (frames that the disk was too slow for when they were recorded)")
    if summary.undated:
        lines.append(f"undated   {summary.undated} (no time in the frame or the file: each got the latest before it)")
    return [*lines, *(f"cut off   {file} ends in the middle" for file in summary.cut_off)]


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(sep=" ", timespec="milliseconds")
