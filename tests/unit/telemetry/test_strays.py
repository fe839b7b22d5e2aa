"""What nobody catches, in a process of its own: Python would print it as it is."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, gc, sys, threading, warnings
from pricestreamd.model.secret import Secret
from pricestreamd.telemetry.strays import tell_strays

tell_strays()
key = "".join(["stray", "-key-", "4711"])
Secret(key)

class Finalised:
    def __del__(self):
        raise RuntimeError(f"finaliser {key}")

def raises(*_):
    raise RuntimeError(f"somewhere {key}")

async def lost():
    asyncio.get_running_loop().create_task(raises_later())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()

async def raises_later():
    raise RuntimeError(f"lost task {key}")
"""

WAYS = {
    "thread": "thread = threading.Thread(target=raises, name='t1'); thread.start(); thread.join()",
    "finaliser": "Finalised(); gc.collect()",
    "warning": "warnings.warn(f'warned of {key}', UserWarning)",
    "task": "asyncio.run(lost())",
    "callback": "loop = asyncio.new_event_loop(); loop.call_soon(raises); loop.call_soon(loop.stop); loop.run_forever(); loop.close()",
    "program": "raises()",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_nobody_catches_is_told_without_secrets(way: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + WAYS[way]], capture_output=True, text=True, timeout=30, check=False
    )
    assert "***" in ran.stderr
    assert "stray-key-4711" not in ran.stderr + ran.stdout
    assert ("RuntimeError" if way != "warning" else "UserWarning") in ran.stderr
    assert ran.returncode == (1 if way == "program" else 0)


def test_a_thread_that_leaves_by_exit_is_no_failure() -> None:
    code = PROGRAM + "thread = threading.Thread(target=sys.exit); thread.start(); thread.join()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
