"""`make bench`: what one tick costs in the whole daemon, against baselines measured in the same run.

Absolute times move from machine to machine; the ratios are what counts. B1 is aiohttp with the standard library's
JSON, B2 aiohttp with a typed decoder: both do nothing with the price. Every figure is a median of rounds in turn.
"""

import argparse
import csv
import functools
import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.bench.latency import through_the_stream
from tests.bench.processes import receiver, streaming
from tests.bench.stores import stores
from tests.support.data import ROOT

LISTENER = """
plugin_paths: ["{root}"]
listeners: [{{event: price.update, call: "tests.bench.listener:on_update"}}]
"""
SQLITE = "sinks: {prices: {type: sqlite, path: prices.db, queue: {size: 1000000}}}"


def daemon_seconds(frames: int, **setting: object) -> float:
    """Processor seconds per tick of a stock daemon, saturated."""
    with streaming(frames, **setting) as (daemon, sender):  # type: ignore[arg-type]
        used = daemon.cpu
        sender.go()
        daemon.wait_updates(frames)
        return (daemon.cpu - used) / frames


def medians(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def row(what: str, value: str, target: str) -> None:
    print(f"{what:<58} {value:>22}   {target}", flush=True)


def ticks(rounds: int, frames: int) -> None:
    listener = LISTENER.format(root=Path(__file__).parents[2])
    found = medians(
        rounds,
        {
            "B1": lambda: receiver("b1", frames=frames)["cpu"],
            "B2": lambda: receiver("b2", frames=frames)["cpu"],
            "daemon": lambda: daemon_seconds(frames, more=listener),
            "sqlite": lambda: daemon_seconds(frames, more=listener + SQLITE),
        },
    )
    for name, seconds in found.items():
        row(f"{name}: processor per tick", f"{seconds * 1e6:.2f} us", f"{1 / seconds:,.0f}/s a core")
    row("whole daemon", f"{found['B1'] / found['daemon']:.2f} x B1", ">= 1.0, goal 2.0")
    row("whole daemon", f"{found['B2'] / found['daemon']:.2f} x B2", "goal 0.75")
    row("with the SQLite sink taking every tick", f"{found['B1'] / found['sqlite']:.2f} x B1", ">= 0.3, goal 0.6")


def outbox(rounds: int, frames: int) -> None:
    """The state is always kept. What do firings add that are committed, and delivered from the outbox to a file?"""
    sink = "sinks: {alerts: {type: file, path: alerts.jsonl, events: [price.alert]}}"
    firing = {0: 0, 2_000: 1, 1_000: 2, 200: 10}
    measures = {
        f"one firing in {every:,} ticks": functools.partial(daemon_seconds, frames, firing=symbols, more=sink)
        for every, symbols in firing.items()
    }
    base, *rest = medians(rounds, measures).items()
    for what, seconds in rest:
        row(f"{what}, durable and delivered", f"{seconds / base[1]:.2f} x", "of a tick without firings")


def growth(rounds: int, frames: int) -> None:
    """The cost of a tick must not depend on how many symbols and alerts there are."""
    settings = [(100, 2), (1000, 2), (5000, 2), (100, 100)]
    measures = {
        f"{symbols:,} symbols with {alerts} alerts each": functools.partial(
            daemon_seconds, frames, symbols=symbols, alerts=alerts
        )
        for symbols, alerts in settings
    }
    found = medians(rounds, measures)
    base = next(iter(found.values()))
    for what, seconds in found.items():
        row(what, f"{seconds / base:.2f} x", "of the first")


def latency(frames: int) -> None:
    """Age of a price at the listener, against the same age after a bare decode, at a paced rate."""
    for rate in (1_000, 10_000):
        bare = receiver("latency", frames=frames, rate=rate)
        ours = through_the_stream(frames=frames, rate=rate)
        for point in ("p50", "p99"):
            row(
                f"{point} to the listener at {rate:,}/s: {ours[point] * 1e6:.0f} us, bare {bare[point] * 1e6:.0f} us",
                f"{ours[point] / bare[point]:.2f} x bare",
                "<= 1.5, goal 1.1" if point == "p99" and rate == 10_000 else "",
            )


def replay(rounds: int) -> None:
    from pricestreamd.replay.runner import ReplayRun
    from pricestreamd.stream.settings import StreamSettings

    path = ROOT / "ticks" / "equity_trades_20131007.csv.gz"
    with tempfile.TemporaryDirectory() as folder:
        if not path.exists():
            path = made_day(Path(folder))

        def bare() -> float:
            begun = time.perf_counter()
            with gzip.open(path, "rt", newline="") as file:
                for _ in csv.DictReader(file):
                    pass
            return time.perf_counter() - begun

        def ours(events: bool) -> float:
            begun = time.perf_counter()
            settings = replace(StreamSettings(), out_of_order="accept")
            if events:
                with (Path(folder) / "events.jsonl").open("wb") as out:
                    run = ReplayRun(settings, events=out)
                    run.run(run.read([path]))
            else:
                run = ReplayRun(settings)
                run.run(run.read([path]))
            return time.perf_counter() - begun

        found = medians(rounds, {"bare": bare, "quiet": lambda: ours(False), "events": lambda: ours(True)})
    row("replay of a gzipped day", f"{found['bare'] / found['quiet']:.2f} x DictReader", ">= 0.5, goal 1")
    row("replay with every event written", f"{found['bare'] / found['events']:.2f} x DictReader", ">= 0.2, goal 0.4")


def made_day(folder: Path) -> Path:
    path = folder / "day.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("ts_ms,symbol,price,size,exchange,cond,suspicious\n")
        for index in range(300_000):
            price = 100 + index * 7919 % 41 / 100
            file.write(f"{1381132800464 + index * 100},SYM{index % 3},{price},100,P,20002000,0\n")
    return path


def memory() -> None:
    from pricestreamd.stream.history import History

    before = rss()
    kept = [History(1000) for _ in range(1000)]
    for history in kept:
        for index in range(1000):
            history.append(index, 1.5, None)
    row("history", f"{(rss() - before) / 1e6:.1f} bytes an entry", "<= 40, goal 28")


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def idle() -> None:
    with streaming(1) as (daemon, _):
        row("start to READY", f"{daemon.seconds_to_ready:.2f} s", "goal 0.7")
        time.sleep(1)
        used, begun = daemon.cpu, time.monotonic()
        time.sleep(10)
        row("idle daemon", f"{100 * (daemon.cpu - used) / (time.monotonic() - begun):.2f} % of a core", "goal 0.3")
        row("idle daemon", f"{daemon.rss_bytes / 2**20:.0f} MiB", "goal 60")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300_000)
    parser.add_argument(
        "--only", choices=("ticks", "outbox", "growth", "latency", "replay", "memory", "idle", "stores")
    )
    args = parser.parse_args()
    print(json.dumps({"python": sys.version.split()[0], "rounds": args.rounds, "frames": args.frames}))
    parts: dict[str, Callable[[], None]] = {
        "ticks": lambda: ticks(args.rounds, args.frames),
        "outbox": lambda: outbox(args.rounds, args.frames),
        "growth": lambda: growth(args.rounds, args.frames // 2),
        "latency": lambda: latency(30_000),
        "replay": lambda: replay(args.rounds),
        "memory": memory,
        "idle": idle,
        "stores": lambda: stores(max(args.rounds, 5), row),
    }
    for name, part in parts.items():
        if args.only in (None, name):
            part()


if __name__ == "__main__":
    main()
