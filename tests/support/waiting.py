"""Waiting on conditions instead of sleeping."""

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], object], timeout: float = 15.0, message: str = "") -> None:
    """Return as soon as `condition()` is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, message or f"not within {timeout} s: {condition}"
        await asyncio.sleep(0.005)
