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
    """While inside: SIGTERM and SIGINT call `stop(name)`, SIGHUP `reload()`, SIGUSR1 `toggle_debug()`, in the loop.

    Afterwards they do what they did before.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[signal.Signals, Callable[[], object]] = {
        signal.SIGTERM: lambda: stop("SIGTERM"),
        signal.SIGINT: lambda: stop("SIGINT"),
        signal.SIGHUP: reload,
        signal.SIGUSR1: toggle_debug,
    }
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def not_yet_heard() -> None:
    """Ignore the signals that ask for a reload or the debug log, instead of ending, from now until the process ends.

    They may come while the daemon starts, and while it ends.
    """
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
