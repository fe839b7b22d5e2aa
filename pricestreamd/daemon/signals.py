"""Signals become calls: stop, stop now, reload, debug."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def handled(
    *, stop: Callable[[str], None], reload: Callable[[], None], toggle_debug: Callable[[], object]
) -> Iterator[None]:
    """While inside: SIGTERM and SIGINT call `stop(name)`, SIGHUP `reload()`, SIGUSR1 `toggle_debug()`, in the loop."""
    loop = asyncio.get_running_loop()
    handlers: dict[signal.Signals, Callable[[], object]] = {
        signal.SIGTERM: lambda: stop("SIGTERM"),
        signal.SIGINT: lambda: stop("SIGINT"),
        signal.SIGHUP: reload,
        signal.SIGUSR1: toggle_debug,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
