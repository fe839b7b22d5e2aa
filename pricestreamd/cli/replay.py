"""`replay`: recorded ticks or frames through the same stream and alert rules, on a virtual clock."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pricestreamd.cli.output import replaced
from pricestreamd.cli.patience import quiet_log
from pricestreamd.cli.words import UsageError, config_argument, on_terminal
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact
from pricestreamd.providers.profile import Channel
from pricestreamd.telemetry.plain import escaped

if TYPE_CHECKING:
    from pricestreamd.cli.replay_feeds import ConfiguredFeeds
    from pricestreamd.cli.replay_summary import Played
    from pricestreamd.config.load import Loaded
    from pricestreamd.model.tick import Tick
    from pricestreamd.replay.delivery import DeliveryAccount
    from pricestreamd.replay.frames import FrameFormat
    from pricestreamd.replay.runner import ReplayRun, ReplaySummary

HELP = "run recorded ticks or frames through the stream and the alerts, faster than life"
EXAMPLE = "pricestreamd replay trades.csv.gz --config config/price-stream.yaml --events events.jsonl"
# What a replay has a use for: it connects to nothing; and, where it is to deliver, this as well.
_SECTIONS = ("stream", "alerts", "alert_storm")
_SECTIONS_OF_DELIVERY = ("sinks", "listeners", "plugin_paths", "shutdown_timeout", "logging")
# A look at the progress this often disturbs nobody.
_PROGRESS_SECONDS = 0.2


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
    parser.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="[ALERT.]SETTING=VALUE",
        help="also with this changed about the alerts, such as hysteresis=0.3%% or msft-move.above=300, and compare; "
        "may be given again",
    )
    parser.add_argument(
        "--with-sinks",
        action="store_true",
        help="hand the events to the sinks and listeners of the configuration, as the daemon would",
    )
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

    loaded = _configuration(args)
    for warning in loaded.warnings if loaded else ():
        print(redact(f"warning: {warning}"), file=sys.stderr)
    try:
        played = _play(args, loaded)
    except ReplayInputError as exc:
        raise UsageError(f"{exc}{_unchanged(args.events)}") from exc
    except OSError as exc:
        raise OSError(f"{exc}{_unchanged(args.events)}") from exc
    finally:
        if on_terminal():
            print("\r\033[K", end="", file=sys.stderr)
    no_alerts = "no alerts in the configuration" if loaded else "no alerts (no configuration)"
    lines = played.to_lines(no_alerts)
    print(json.dumps(played.to_json()) if args.json else redact("\n".join(map(escaped, lines))))
    return ExitCode.UNDELIVERED if played.delivery is not None and played.delivery.lost else ExitCode.OK


def _unchanged(events: str | None) -> str:
    return f"; {events} is left as it was" if events else ""


def _play(args: argparse.Namespace, loaded: Loaded | None) -> Played:
    from pricestreamd.cli.replay_feeds import ConfiguredFeeds
    from pricestreamd.cli.replay_summary import Played, WhatIf
    from pricestreamd.cli.what_if import changed_rules
    from pricestreamd.config.settings import Settings
    from pricestreamd.replay.runner import ReplayRun

    settings, rules = (loaded.settings, loaded.alert_rules) if loaded else (Settings(), ())
    changed = changed_rules(args.what_if, loaded) if args.what_if else []
    feeds = ConfiguredFeeds(args.config)
    hours_needed = any(rule.needs_hours for rule in (*rules, *changed))
    with replaced(args.events, args.files) if args.events else nullcontext() as events:
        replay = ReplayRun(
            settings.stream,
            alerts=rules,
            events=events,
            feeds=lambda: feeds.market_hours(needed=hours_needed),
            storm=settings.alert_storm,
        )
        other = replay.beside(changed) if changed else None
        ticks = replay.read(
            args.files,
            symbols=args.symbols,
            progress=_progress(args.files),
            raw=_raw_format(args, feeds),
            descriptions=feeds.description,
        )
        summary, delivery = _run(args, loaded, replay, ticks)
    what_if = WhatIf(tuple(args.what_if), other.alert_accounts()) if other is not None else None
    return Played(summary, what_if, delivery)


def _run(
    args: argparse.Namespace, loaded: Loaded | None, replay: ReplayRun, ticks: Iterator[Tick]
) -> tuple[ReplaySummary, DeliveryAccount | None]:
    """Let the ticks through, at the speed and with the company that was asked for."""
    if args.with_sinks:
        from pricestreamd.cli.replay_delivery import delivered

        if loaded is None:
            raise UsageError("--with-sinks needs a configuration: name one with --config")
        return delivered(loaded, replay, ticks, args.speed)
    # Nobody's functions are called: what the log could tell of is that this machine was busy.
    with quiet_log():
        return replay.run(ticks) if args.speed is None else asyncio.run(replay.play(ticks, args.speed)), None


def _configuration(args: argparse.Namespace) -> Loaded | None:
    """The one named or found; a replay needs none."""
    from pricestreamd.config.load import find_config
    from pricestreamd.config.service_places import load_beside

    try:
        found = find_config(args.config, os.environ)
    except ConfigError:
        return None
    sections = _SECTIONS + (_SECTIONS_OF_DELIVERY if args.with_sinks else ())
    return load_beside(found, os.environ, feeds_required=False, sections=sections)


def _raw_format(args: argparse.Namespace, feeds: ConfiguredFeeds) -> FrameFormat | None:
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
    fitting = {name: feed for name, feed in feeds.described.items() if feed.provider == provider}
    if len(fitting) > 1:
        raise UsageError(f"the feeds {', '.join(fitting)} describe different protocols: keep one in the configuration")
    description = next((feed.description for feed in fitting.values()), None)
    return FrameFormat(provider=provider, channel=channel, description=description)


def _progress(files: list[str]) -> Callable[[int], object] | None:
    """A bar on a terminal, from the compressed bytes read so far."""
    if not on_terminal():
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
