"""Processes with a state, for faults that a test cannot do to itself: SIGKILL, no space, a disk that is read-only.

`python -m tests.faults.state_programs PROGRAM PATH` runs one; what it prints is a line each. `write` and `hold` wait for
a line before they begin.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pricestreamd.model.errors import StateError
from pricestreamd.state.bounds import Bounds
from pricestreamd.state.file import StateFile
from pricestreamd.state.rows import Outcome, StateChange
from pricestreamd.state.store import StateStore
from tests.unit.state.model import ALL, Model, firing, outcome, read_all

# Everything is remembered, as the model does.
BOUNDS = Bounds(ALL, ALL, ALL, ALL)
SINKS = ("hook", "phone")


def step(number: int) -> StateChange | list[Outcome]:
    """What the writer writes as its `number`th transaction: firings, alone and grouped, and outcomes of earlier ones."""
    if number % 4 == 3:
        given_up = "dead" if number % 8 == 3 else "delivered"
        return [
            outcome(f"firing-{10 * (number - 1)}"),
            outcome(f"firing-{10 * (number - 2)}", attempts=number),
            outcome(f"firing-{10 * (number - 2)}", "phone", given_up, attempts=number),
        ]
    change = firing(10 * number, *SINKS, alert_id=f"alert {number % 7}")
    for more in range(1, 8 if number % 10 == 5 else 1):
        other = firing(10 * number + more, *SINKS, alert_id=f"alert {more}", symbol="MSFT")
        change.alert_states += other.alert_states
        change.events += other.events
        change.owed += other.owed
    return change


def made(path: Path) -> StateStore:
    return StateStore(path, on_damage=print, bounds=BOUNDS)


async def write(path: Path) -> None:
    """Write without end, from the transaction on whose number comes in; tell the number of each when it lasts."""
    number = int(sys.stdin.readline())
    store = made(path)
    while True:
        doing = step(number)
        await (store.commit(doing) if isinstance(doing, StateChange) else store.settle(doing))
        print(number, flush=True)
        number += 1


async def hold(path: Path) -> None:
    """Hold the state until somebody kills us."""
    await made(path).open()
    print("held", flush=True)
    sys.stdin.readline()


async def limited(path: Path) -> None:
    """No file may grow much beyond the WAL's size."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = Path(f"{path}-wal")
    await _full(
        path,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 10_000, hard)),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)),
    )


async def limited_main(path: Path) -> None:
    """The main file cannot grow, while the WAL, begun anew, still can: nothing can be brought over."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    await _full(
        path,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100_000, hard)),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)),
        before=lambda store: store._call(lambda own: own.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()),
    )


async def full(path: Path) -> None:
    """Something else fills the disk, which is small."""
    filler = path.with_name("filler")

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            for size in (65536, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    await _full(path, fill, filler.unlink)


async def _full(
    path: Path,
    fill: Callable[[], object],
    free: Callable[[], object],
    before: Callable[[StateStore], object] | None = None,
) -> None:
    store, model = made(path), Model()
    number = 0

    async def done() -> None:
        nonlocal number
        change = firing(number, *SINKS, size=900)
        await store.commit(change)
        model.commit(change)
        number += 1

    for _ in range(50):
        await done()
    if before is not None:
        await before(store)  # type: ignore[misc]  # a coroutine
    fill()
    errors: list[str] = []
    while len(errors) < 5 and number < 10_000:
        try:
            await done()
        except StateError as exc:
            errors.append(str(exc))
    # Reading goes on, and nothing of what failed is there.
    same_when_full = await store._call(read_all) == model.contents()
    waiting = len(await store.pending("hook"))
    free()
    # The very change that failed, and more.
    for _ in range(20):
        await done()
    outcomes = [outcome("firing-0"), outcome("firing-1", result="dead")]
    await store.settle(outcomes)
    model.settle(outcomes)
    await store.close()
    file = StateFile(path)
    same = file.run(read_all) == model.contents()
    sound = file.run(lambda own: own.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
    file.close()
    wal = Path(f"{path}-wal").exists()
    facts = {"errors": errors, "same_when_full": same_when_full, "waiting": waiting, "committed": number}
    print(json.dumps(facts | {"same": same, "sound": sound, "damage": file.damage, "wal": wal}), flush=True)


async def read_only(path: Path) -> None:
    """The disk is made read-only under a state that is open, and under one that is not; later it can be written again."""
    store = made(path)
    await store.commit(firing(1, "hook"))
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", path.parent], check=True)
    errors = []
    for call in (store.open(), store.load(), store.commit(firing(2, "hook"))):
        try:
            await call
        except StateError as exc:
            errors.append(str(exc))
    subprocess.run(["mount", "-o", "remount,rw", path.parent], check=True)
    await store.commit(firing(2, "hook"))
    pending = [delivery.event_id for delivery in await store.pending("hook")]
    await store.close()
    print(json.dumps({"errors": errors, "pending": pending}), flush=True)


if __name__ == "__main__":
    os.umask(0)  # what is private must be so by itself
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
