"""Watchdogs bark at a loop that hangs, with its stacks, and at nothing else: proven on processes of their own."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pricestreamd.daemon.alive.sdnotify import PINGS_PER_PERIOD, ServiceManager
from pricestreamd.daemon.alive.vitals import Turns, Vitals
from pricestreamd.daemon.alive.watchdog import GUARD_SECONDS, LoopGuard, Watchdog, guard_seconds
from tests.support.waiting import eventually

pytestmark = pytest.mark.alone

PROGRAM = """\
import asyncio, re, sys, threading, time
from pricestreamd.daemon.alive.sdnotify import ServiceManager
from pricestreamd.daemon.alive.vitals import Vitals
from pricestreamd.daemon.alive.watchdog import LoopGuard, Watchdog

def sleeps():
    time.sleep(60)

def spins():
    while True:
        pass

def keeps_the_interpreter():
    re.match("(a+)+$", "a" * 60 + "b")

def waits_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def works():
    pass

async def life(what, seconds):
    with LoopGuard(seconds) as guard:
        watchdog = asyncio.create_task(Watchdog(ServiceManager({}), guard, Vitals({})).run())
        await asyncio.sleep(0.05)
        print("up", flush=True)
        globals()[what]()
        await asyncio.sleep(float(sys.argv[3]))
        watchdog.cancel()

asyncio.run(life(sys.argv[1], float(sys.argv[2])))
print("done", flush=True)
"""


async def program(folder: Path, *args: str) -> asyncio.subprocess.Process:
    path = folder / "hangs.py"
    path.write_text(PROGRAM)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(path), *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


async def up(running: asyncio.subprocess.Process) -> None:
    assert running.stdout is not None
    assert await asyncio.wait_for(running.stdout.readline(), 20) == b"up\n"


@pytest.mark.parametrize("hang", ["sleeps", "spins", "waits_for_a_lock"])
async def test_a_loop_that_hangs_is_ended_with_its_stacks(tmp_path: Path, hang: str) -> None:
    running = await program(tmp_path, hang, "0.5", "60")
    await up(running)
    started = time.monotonic()
    _, err = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == -signal.SIGABRT
    assert time.monotonic() - started >= 0.3
    told = err.decode()
    assert "no sign of life from the event loop for 0.5 s: aborting" in told
    assert "Fatal Python error: Aborted" in told
    assert f"in {hang}\n" in told


async def test_a_call_into_c_that_keeps_the_interpreter_is_ended_with_its_stack(tmp_path: Path) -> None:
    running = await program(tmp_path, "keeps_the_interpreter", "0.3", "60")
    await up(running)
    _, err = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode in (-signal.SIGPROF, -signal.SIGABRT)
    assert "in keeps_the_interpreter\n" in err.decode()


async def test_a_process_that_was_stopped_goes_on(tmp_path: Path) -> None:
    running = await program(tmp_path, "works", "0.8", "2")
    await up(running)
    running.send_signal(signal.SIGSTOP)
    state = Path(f"/proc/{running.pid}/stat")
    await eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
    stopped = time.monotonic()
    await eventually(lambda: time.monotonic() - stopped > 1.5)  # nothing to be seen: time must pass
    running.send_signal(signal.SIGCONT)
    out, err = await asyncio.wait_for(running.communicate(), 20)
    assert (running.returncode, out, err) == (0, b"done\n", b"")


async def test_last_words_that_nobody_reads_keep_nobody_alive(tmp_path: Path) -> None:
    """Its stderr is a pipe that is full."""
    path = tmp_path / "hangs.py"
    path.write_text(
        PROGRAM.replace(
            "asyncio.run",
            "from pricestreamd.daemon.alive import watchdog\nwatchdog.LAST_WORDS_SECONDS = 0.3\nasyncio.run",
        )
    )
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, str(path), "sleeps", "0.3", "60"),
        stderr=writing,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    os.close(writing)
    assert await asyncio.wait_for(running.wait(), 20) in (-signal.SIGALRM, -signal.SIGABRT)
    os.close(reading)


async def test_a_guard_that_is_not_needed_any_more_leaves_nothing_behind() -> None:
    with LoopGuard(60.0) as guard:
        left, _ = signal.getitimer(signal.ITIMER_PROF)
        assert 60.0 < left < 121.0  # the kernel rounds up
        guard.beat()
        assert any(thread.name == "loop guard" for thread in threading.enumerate())
    assert not any(thread.name == "loop guard" for thread in threading.enumerate())
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    with LoopGuard(None) as off:
        off.beat()
        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "watched", "seconds"),
    [
        (None, False, GUARD_SECONDS),
        (None, True, None),
        ("", False, GUARD_SECONDS),
        ("5", False, 5.0),
        ("0.5", True, 0.5),
        ("0", False, None),
        ("soon", False, GUARD_SECONDS),
        ("nan", False, GUARD_SECONDS),
        ("-3", False, GUARD_SECONDS),
        ("inf", True, None),
    ],
)
def test_the_guard_stands_where_nobody_else_does_or_as_the_environment_says(
    text: str | None, watched: bool, seconds: float | None
) -> None:
    environ = {} if text is None else {"PRICESTREAM_WATCHDOG_SECONDS": text}
    assert guard_seconds(environ, watched=watched) == seconds


# --- what keeps them quiet


class Heard:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "90000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    def pings(self) -> int:
        count = 0
        with suppress(BlockingIOError):
            while self.socket.recv(65_536) == b"WATCHDOG=1":
                count += 1
        return count


async def test_the_manager_is_pinged_three_times_a_period_while_all_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard(tmp_path, monkeypatch)
    manager, vitals = ServiceManager(), Vitals({}, patience=0.1)
    watchdog = Watchdog(manager, LoopGuard(None), vitals)
    assert watchdog.every == pytest.approx(0.09 / PINGS_PER_PERIOD)
    task = asyncio.create_task(watchdog.run())
    started = time.monotonic()
    pings = 0

    def four() -> bool:
        nonlocal pings
        pings += heard.pings()
        return pings >= 4

    await eventually(four)
    assert time.monotonic() - started >= 0.08  # three pauses of 30 ms lie between four pings

    async def hung() -> None:
        """Never gets a turn."""

    turns = Turns(hung)
    vitals.owes("Blindness.run", turns, 0.01)
    await eventually(lambda: "Blindness.run: hangs, so the watchdog is told nothing more" in caplog.text)
    heard.pings()
    looks = vitals._idle["Blindness.run"]
    await eventually(lambda: vitals._idle["Blindness.run"] > looks + 0.1)
    assert heard.pings() == 0
    assert caplog.text.count("hangs") == 1

    turns.count += 1
    await eventually(heard.pings)

    task.cancel()
    await asyncio.wait({task})
    manager.close()
    heard.socket.close()


async def test_where_nobody_wants_a_sign_of_life_none_is_given() -> None:
    await asyncio.wait_for(Watchdog(ServiceManager({}), LoopGuard(None), Vitals({})).run(), 1.0)
