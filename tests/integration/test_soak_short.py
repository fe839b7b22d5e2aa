"""A minute of the soak that `make soak` runs for ten: every promise of `tests/soak`, with a fault every second or two."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
async def test_a_minute_of_random_faults_loses_nothing_repeats_nothing_and_leaks_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak", "--minutes", "1", "--every", "1.5", "--seed", "11"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    figures, log = await process.communicate()
    print(figures.decode())
    assert process.returncode == 0, figures.decode() + log.decode()
