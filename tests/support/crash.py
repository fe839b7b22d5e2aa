"""A busy daemon that is killed again and again, and what is found in its state each time.

    lane = Lane(number, folder, nursery, provider_url, hook_url, dice=dice)
    await lane.crash()      one life: started, busy for a moment, killed by SIGKILL
    await lane.examine()    the state that is left, read by SQLite itself: `committed` grows, and nothing of it goes
    await lane.finish()     one last life without a kill, until everything is delivered

What a state must never show, whatever was killed when, is collected in `broken` as sentences.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from pricestreamd.http.write_token import NAME
from tests.support.crash_market import WAVES, config
from tests.support.crash_nursery import Newborn, Nursery

READY_TIMEOUT = 20.0
_DRAIN_TIMEOUT = 180.0
# Each look counts what waits.
_LOOK_SECONDS = 0.1
# How a life ends: before it is ready; while its state cannot be written; as soon as it is being written; at any time.
_EARLY, _LOCKED, _WRITING = 0.12, 0.2, 0.5
_CATCH_UP_SECONDS = 2.0
# Whoever has this byte of the file beside a state is the one who writes (SQLite, "WAL-mode File Format", 2.3.1).
_WRITE_LOCK = 120
# One start in so many is one of a whole new interpreter; the others come out of the nursery.
_FRESH_EVERY = 5
# A life in so many is long enough for waits and retries to be over.
_LONG_EVERY = 12


@dataclass
class Figures:
    """What the lives came to."""

    kills: int = 0
    fresh: int = 0
    early: int = 0
    locked: int = 0
    writing: int = 0
    ready: list[float] = field(default_factory=list)


class Lane:
    """One daemon with a state and symbols of its own. `dice` decides when it dies."""

    def __init__(
        self, number: int, folder: Path, nursery: Nursery, provider_url: str, hook_url: str, *, dice: random.Random
    ) -> None:
        self.number = number
        self.folder = folder
        self.committed: dict[str, dict[str, Any]] = {}
        """Id to event, in the order of the commits."""
        self.made: dict[str, float] = {}
        """Alerts made over the API, with their thresholds: those whose making was answered."""
        self.asked: dict[str, float] = {}
        """The same, answered or not."""
        self.broken: list[str] = []
        self.figures = Figures()
        self.address = ""
        self.is_ready = asyncio.Event()
        """Set in the last life."""
        self._nursery = nursery
        self._dice = dice
        self._locked: int | None = None
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.setblocking(False)
        self._told.bind(f"\0crash-{os.getpid()}-{id(self)}")
        (folder / "config.yaml").write_text(config(number, provider_url, hook_url))
        self._log = (folder / "daemon.log").open("ab")

    def close(self) -> None:
        """Let go of what it has open."""
        self._told.close()
        self._log.close()

    # --- one life

    async def crash(self) -> None:
        """Start it, and kill it at a moment of chance."""
        early, how = self._dice.random() < _EARLY, self._dice.random()
        began = time.monotonic()
        process = await self._spawn()
        try:
            if early:
                self.figures.early += 1
                await asyncio.sleep(self._dice.uniform(0.0, 0.4))
            else:
                await self._ready(process, began)
                await self._be_busy(how)
        finally:
            _kill(process)
            await process.wait()
            self._unlock()
        assert process.returncode == -signal.SIGKILL, f"lane {self.number} ended by itself: {process.returncode}"
        self.figures.kills += 1

    async def start_and_kill(self) -> None:
        """A new interpreter, killed as soon as it is ready."""
        began = time.monotonic()
        process = await self._spawn(fresh=True)
        try:
            await self._ready(process, began)
        finally:
            _kill(process)
            await process.wait()

    async def _spawn(self, *, fresh: bool = False) -> asyncio.subprocess.Process | Newborn:
        # What an earlier life has told of is not taken for this one's.
        with suppress(BlockingIOError):
            while self._told.recv(4096):
                pass
        name = self._told.getsockname().decode().replace("\0", "@")
        environ = {"STATE_DIRECTORY": str(self.folder), "NOTIFY_SOCKET": name, "KEY": "any-key"}
        if self.figures.kills % _FRESH_EVERY and not fresh:
            return await self._nursery.spawn(self.folder, environ)
        self.figures.fresh += 1
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pricestreamd", "run", "--config", str(self.folder / "config.yaml")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._log,
            env={**os.environ, **environ},
        )

    async def _ready(self, process: asyncio.subprocess.Process | Newborn, began: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while b"READY=1" not in (word := await loop.sock_recv(self._told, 4096)):
                    pass
        except TimeoutError:
            last = (self.folder / "daemon.log").read_text().splitlines()[-1:]
            raise AssertionError(f"lane {self.number}, process {process.pid} is not ready: {last}") from None
        seconds = time.monotonic() - began
        self.figures.ready.append(seconds)
        self.address = word.decode().partition("serving on ")[2].split()[0].rstrip("/")

    async def _be_busy(self, how: float) -> None:
        """Until it is to die."""
        if self.figures.kills % _LONG_EVERY == _LONG_EVERY - 1:
            await self._make_alert()
            await asyncio.sleep(self._dice.uniform(0.5, 2.0))
        if how < _LOCKED:
            self.figures.locked += 1
            await self._lock()
        elif how < _WRITING:
            self.figures.writing += 1
            await self._first_write()
            await asyncio.sleep(self._dice.uniform(0, 0.003))
        else:
            await asyncio.sleep(self._dice.uniform(0, 0.3))

    async def _lock(self) -> None:
        """Keep the daemon from writing its state, as a backup may, until it is dead: nobody may hear of what fires now.

        Not before it has caught up, if it does so soon: what fires has to wait for what is older.
        """
        until = time.monotonic() + _CATCH_UP_SECONDS
        while time.monotonic() < until and self.pending():
            await asyncio.sleep(0.05)
        self._locked = os.open(self.folder / "state.db-shm", os.O_RDWR)
        async with asyncio.timeout(READY_TIMEOUT):
            while True:
                with suppress(BlockingIOError):
                    fcntl.lockf(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _WRITE_LOCK)
                    break
                await asyncio.sleep(0.0005)
        await asyncio.sleep(self._dice.uniform(0.02, 0.2))

    def _unlock(self) -> None:
        if self._locked is not None:
            os.close(self._locked)
            self._locked = None

    async def _first_write(self) -> None:
        """Return within a moment of a write to the state."""
        wal = self.folder / "state.db-wal"
        until, before = time.monotonic() + 0.4, _written_at(wal)
        while time.monotonic() < until and _written_at(wal) == before:
            await asyncio.sleep(0.0005)

    # --- writes over HTTP

    async def _make_alert(self) -> None:
        """An alert of the API; one whose making was answered must outlast everything."""
        number = len(self.asked)
        name, limit = f"api-{number}", 105.0 + number / 10
        body = {"name": name, "symbol": f"{WAVES[number % len(WAVES)]}.{self.number}", "above": limit}
        self.asked[name] = limit
        headers = {"Authorization": f"Bearer {(self.folder / NAME).read_text().strip()}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(f"{self.address}/api/v1/alerts", json=body) as response:
                assert response.status == 201, await response.text()
        self.made[name] = limit

    # --- what is left

    def examine(self) -> None:
        """Read the state of a daemon that does not run."""
        path = self.folder / "state.db"
        if not path.exists():
            return
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as state:
            (version,) = state.execute("PRAGMA user_version").fetchone()
            if not version:
                assert not self.committed, "the state is empty"
                return
            (sound,) = state.execute("PRAGMA quick_check(1)").fetchone()
            rows = dict(state.execute("SELECT event_id, body FROM events WHERE event = 'price.alert' ORDER BY number"))
            nobody_owes = state.execute(
                "SELECT event_id FROM events WHERE event_id NOT IN (SELECT event_id FROM outbox WHERE dead = 0) "
                "AND event_id NOT IN (SELECT event_id FROM delivery_log WHERE result = 'delivered')"
            ).fetchall()
            records = state.execute("SELECT alert_id, record FROM alert_states").fetchall()
            made = {name for (name,) in state.execute("SELECT alert_id FROM alerts")}
        self._must(sound == "ok", f"the state is damaged: {sound}")
        self._must(not nobody_owes, f"firings that nobody owes and nobody has: {nobody_owes}")
        self._must(self.committed.keys() <= rows.keys(), f"gone: {self.committed.keys() - rows.keys()}")
        self._must(self.made.keys() <= made, f"alerts of the API that are gone: {self.made.keys() - made}")
        for firing, body in rows.items():
            if firing not in self.committed:
                self.committed[firing] = json.loads(body)
        self._compare(records)

    def _compare(self, records: list[tuple[str, bytes]]) -> None:
        """What the states say has fired is what is there: both are written by one transaction, or not at all."""
        counted: Counter[str] = Counter()
        for alert, record in records:
            counted[alert] += sum(condition["firings"] for condition in json.loads(record)["conditions"])
        found = Counter(event["alert_id"] for event in self.committed.values())
        more, less = (counted - found).most_common(5), (found - counted).most_common(5)
        self._must(not more and not less, f"the states count more than there is of {more}, and less of {less}")

    def _must(self, promise: bool, sentence: str) -> None:
        # The first is what counts; the others may come of it.
        if not promise and not self.broken:
            self.broken.append(f"lane {self.number}, after {self.figures.kills} kills: {sentence}")

    def pending(self) -> int:
        """Deliveries that wait or were given up."""
        with closing(sqlite3.connect(f"file:{self.folder / 'state.db'}?mode=ro", uri=True)) as state:
            (count,) = state.execute("SELECT count(*) FROM outbox").fetchone()
        return int(count)

    async def finish(self, quiet: asyncio.Event) -> None:
        """A last life: prices until the market is `quiet`, and then until all is delivered."""
        process = await self._spawn()
        try:
            await self._ready(process, time.monotonic())
            self.is_ready.set()
            await quiet.wait()
            async with asyncio.timeout(_DRAIN_TIMEOUT):
                while self.pending():
                    await asyncio.sleep(_LOOK_SECONDS)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            _kill(process)
            await process.wait()
        self.examine()


def _kill(process: asyncio.subprocess.Process | Newborn) -> None:
    if process.returncode is None:
        process.kill()


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
