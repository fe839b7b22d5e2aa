"""The function that the sink `call` calls in the suite: it keeps what it gets, fails, or hangs, as a test wants it."""

import threading

from pricestreamd.model.events import Event

kept: list[Event] = []
failing = threading.Event()
flowing = threading.Event()
flowing.set()


def keep(event: Event) -> None:
    flowing.wait(30)
    if failing.is_set():
        raise OSError("the broker is away")
    kept.append(event)
