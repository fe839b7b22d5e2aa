"""A minute of the soak that `make soak` runs for ten: every promise of `tests/soak`, with a fault every second or two."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

# What Python says of what was begun and never ended, or raised and never looked at.
FORGOTTEN = ("ResourceWarning", "never retrieved", "never awaited", "was destroyed", "Traceback", "Exception ignored")
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
async def test_a_minute_of_random_faults_loses_nothing_repeats_nothing_and_leaks_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-W",
            "always::ResourceWarning",
            "-m",
            "tests.soak",
            "--minutes",
            "1",
            "--every",
            "1.5",
            "--seed",
            "227",
        ),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    figures, log = await process.communicate()
    print(figures.decode())
    assert process.returncode == 0, figures.decode() + log.decode()
    assert not [line for line in log.decode().splitlines() if any(word in line for word in FORGOTTEN)]
