"""`record`: writes every raw frame of the configured feeds into a file that `replay` reads."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pricestreamd.cli.patience import INTERRUPTED, ImpatientLoop, exit_now, quiet_log
from pricestreamd.cli.words import UsageError, config_argument, counted, on_terminal
from pricestreamd.config.suggest import did_you_mean, one_of
from pricestreamd.config.units import UnitError, read_duration
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.model.secret import redact
from pricestreamd.model.tick import symbol_key
from pricestreamd.telemetry.plain import escaped

if TYPE_CHECKING:
    from pricestreamd.feeds.settings import FeedSettings
    from pricestreamd.replay.record import Outcome
    from pricestreamd.replay.recorder import Recorder
    from pricestreamd.replay.recording_file import RecordingFile

HELP = "write every raw frame of the feeds into a file, to be replayed later"
EXAMPLE = "pricestreamd record --output day.jsonl.gz --duration 10m --config config/price-stream.yaml"
_PROGRESS_SECONDS = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to record, for how long, and where to."""
    config_argument(parser)
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="JSON Lines; packed where the name ends in .gz or .zst"
    )
    parser.add_argument("--duration", type=_duration, metavar="D", help="such as 10m; without it until Ctrl-C")
    parser.add_argument("--feed", action="append", metavar="NAME", help="this feed only; may be given again")
    parser.add_argument(
        "--symbols",
        nargs="+",
        metavar="SYMBOL",
        help="these of the configured symbols, globs such as 'BTC/*' allowed; others too, where there is one feed",
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def _duration(text: str) -> float:
    try:
        seconds = read_duration(text)
    except UnitError as exc:
        raise argparse.ArgumentTypeError(f"expected a duration such as 10m, got {text!r}{exc}") from None
    if not seconds:
        raise argparse.ArgumentTypeError("nothing can be recorded in no time")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Record until a signal, or for a while; 0 when nothing is missing."""
    from pricestreamd.config.load import find_config
    from pricestreamd.config.service_places import load_beside
    from pricestreamd.replay.recorder import Recorder

    config = find_config(args.config, os.environ)
    loaded = load_beside(config, os.environ, sections=("feeds",))
    for warning in loaded.warnings:
        print(redact(f"warning: {warning}"), file=sys.stderr)
    feeds = _of_symbols(_of_names(loaded.settings.feeds, args.feed), args.symbols)
    if config.exists() and Path(args.output).exists() and config.samefile(args.output):
        raise UsageError(f"{args.output} is the configuration: name another file for the recording")
    file = _open(args.output, force=args.force)
    loop = ImpatientLoop()
    began = time.monotonic()
    try:
        recorder = Recorder(file)
        outcome = loop.run(_record(feeds, recorder, args.duration))
    except OSError as exc:
        raise OSError(f"cannot write {args.output}: {exc.strerror or exc}; it holds what came before") from exc
    finally:
        if not file.size and file.regular:
            file.path.unlink(missing_ok=True)
    summary = _summary(recorder, time.monotonic() - began)
    told = json.dumps(summary) if args.json else redact(_text(summary))
    print(told, file=sys.stderr if _is_stdout(args.output) else sys.stdout)
    return loop.leave(_verdict(recorder, outcome))


def _verdict(recorder: Recorder, outcome: Outcome) -> ExitCode:
    if recorder.lost:
        _say(f"{counted(recorder.lost.total(), 'frame')} could not be written: the disk was too slow")
        return ExitCode.UNDELIVERED
    if not outcome.connected:
        _say("no feed could be reached: nothing was recorded")
        return ExitCode.REFUSED
    return ExitCode.REFUSED if outcome.given_up else ExitCode.OK


def _open(name: str, *, force: bool) -> RecordingFile:
    from pricestreamd.replay.recording_file import RecordingFile, UnwritableRecording

    try:
        file = RecordingFile(Path(name))
        file.open(replace=force)
    except UnwritableRecording as exc:
        raise UsageError(str(exc)) from exc
    return file


def _is_stdout(name: str) -> bool:
    """Whether the recording itself goes where a summary would."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(1), Path(name).stat())
    return False


# --- which feeds and symbols


def _of_names(feeds: Mapping[str, FeedSettings], names: list[str] | None) -> dict[str, FeedSettings]:
    """Those of `feeds` that are named, or all."""
    for name in names or ():
        if name not in feeds:
            hint = did_you_mean(name, feeds) or f"; there is {one_of(feeds)}"
            raise UsageError(f"no feed {name!r} in the configuration{hint}")
    return {name: feed for name, feed in feeds.items() if names is None or name in names}


def _of_symbols(feeds: dict[str, FeedSettings], texts: list[str] | None) -> dict[str, FeedSettings]:
    """`feeds` with those symbols only; a feed that has none of them is left out."""
    asked = [part.strip() for text in texts or () for part in text.split(",") if part.strip()]
    if not asked:
        return feeds
    chosen: dict[str, list[str]] = {name: [] for name in feeds}
    for text in asked:
        found = False
        for name, feed in feeds.items():
            matching = [symbol for symbol in feed.symbols if fnmatchcase(symbol_key(symbol), symbol_key(text))]
            chosen[name] += matching
            found = found or bool(matching)
        if not found and (len(feeds) > 1 or set("*?[") & set(text)):
            remedy = "" if set("*?[") & set(text) else ": name the feed with --feed to ask for it all the same"
            raise UsageError(f"no feed has the symbol {text}{remedy}")
        if not found:
            chosen[next(iter(feeds))].append(text)
    return {
        name: replace(feeds[name], symbols=tuple(dict.fromkeys(symbols)), watchlist=None)
        for name, symbols in chosen.items()
        if symbols
    }


# --- while it runs


async def _record(feeds: dict[str, FeedSettings], recorder: Recorder, duration: float | None) -> Outcome:
    from pricestreamd.replay.record import record

    stop = asyncio.Event()
    progress = None
    if on_terminal():
        progress = asyncio.create_task(_draw_progress(recorder, duration))
    with _signals(stop), quiet_log():
        try:
            program = f"pricestreamd {version('pricestreamd')}"
            return await record(feeds, recorder, version=program, stop=stop, duration=duration, tell=_say)
        finally:
            if progress is not None:
                progress.cancel()
                print("\r\033[K", end="", file=sys.stderr)


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """A signal ends the recording, a second one the process: the file is whole up to the last second then.

    A terminal that goes away ends it too, unless the program was told to outlive that.
    """
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def asked() -> None:
        if stop.is_set():
            exit_now(INTERRUPTED)
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _say(text: str) -> None:
    """A line on stderr, over the progress where there is one. It may hold what a provider said."""
    clear = "\r\033[K" if on_terminal() else ""
    print(f"{clear}{escaped(redact(text))}", file=sys.stderr, flush=True)


async def _draw_progress(recorder: Recorder, duration: float | None) -> None:
    began = before_at = time.monotonic()
    before = 0
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        now, frames = time.monotonic(), recorder.frames.total()
        rate = (frames - before) / (now - before_at)
        before, before_at = frames, now
        told = f"{frames:,} frames, {_size(recorder.file.size)}, {rate:,.0f} frames/s"
        if duration is None:
            told = f"recording for {now - began:.0f} s: {told}; Ctrl-C ends it"
        else:
            part = min(1.0, (now - began) / duration)
            filled = int(30 * part)
            told = f"[{'#' * filled}{' ' * (30 - filled)}] {100 * part:3.0f} %  {told}"
        print(f"\r\033[K{told}", end="", file=sys.stderr, flush=True)


# --- the summary


def _summary(recorder: Recorder, seconds: float) -> dict[str, Any]:
    return {
        "frames": recorder.frames.total(),
        "bytes": recorder.bytes.total(),
        "lost": recorder.lost.total(),
        "feeds": {
            feed: {"frames": recorder.frames[feed], "bytes": recorder.bytes[feed], "lost": recorder.lost[feed]}
            for feed in recorder.feeds
        },
        "first": recorder.first_at,
        "last": recorder.last_at,
        "seconds": round(seconds, 3),
        "output": str(recorder.file.path),
        "output_bytes": recorder.file.size,
    }


def _text(summary: dict[str, Any]) -> str:
    lines = [
        f"frames    {summary['frames']:,} in {summary['seconds']:.1f} s, {_size(summary['bytes'])}",
        *(f"  {feed:<12} {counts['frames']:,}" for feed, counts in summary["feeds"].items()),
        f"lost      {summary['lost']:,}",
        f"file      {summary['output']}, {_size(summary['output_bytes'])}",
    ]
    return "\n".join(map(escaped, lines))


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
