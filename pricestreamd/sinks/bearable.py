"""What the code of a sink raises, in a form that the daemon can bear: nothing ends it, and no text is endless.

A sink, its library or a plugin may raise what would end an event loop (an exit, an interrupt), a cancellation that
nobody asked for, or an exception with megabytes of text or with a text that cannot be made. All of it becomes an
ordinary failure of that sink.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import redact_bounded

# Characters of an error's text; what goes beyond is cut off before anybody looks for secrets in it.
MOST_TEXT = 8 * 1024


@contextmanager
def bearable(sink: str, work: str = "delivery") -> Iterator[None]:
    """The code of the sink `sink` does its `work` inside. Nothing but an `Exception` with a bounded text comes out.

    Besides what is meant for whoever called: a cancellation of the task, the end of the loop, and Ctrl-C where no loop
    runs yet.
    """
    task = _task()
    try:
        yield
    except Exception as exc:
        if (bounded := _bounded(exc, sink)) is exc:
            raise
        # Without the original: whoever tells of it with its origin would tell its text.
        raise bounded from None
    except BaseException as exc:
        if _is_ours(exc, task):
            raise
        text = _line(_text(exc) or "", MOST_TEXT)
        told = f"the {work} of sink {sink} was broken off: {type(exc).__name__}({text})"
        raise SinkError(told, sink=sink) from None


def described(error: BaseException, most: int = MOST_TEXT) -> str:
    """The name of its class and its text, without secrets, in one line of at most `most` characters."""
    name, text = type(error).__name__, _text(error)
    return _line(f"{name}: {text}" if text else name, most)


def _line(text: str, most: int) -> str:
    line = redact_bounded(text, most)
    return line if line.isprintable() else "".join(letter if letter.isprintable() else " " for letter in line)


def _text(error: BaseException) -> str | None:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's class: whatever it raises, it has no text
        return None


def _bounded(error: Exception, sink: str) -> Exception:
    """`error` itself where its text is short, or can be cut; else one in its place that is handled in the same way."""
    text = _text(error)
    if text is not None and len(text) <= MOST_TEXT:
        return error
    short = "it has no text" if text is None else redact_bounded(text, MOST_TEXT)
    error.args = (short,)
    if _text(error) == short:
        return error
    if isinstance(error, SinkError):
        return SinkError(short, sink=sink, transient=error.transient, retry_after=error.retry_after)
    return RuntimeError(f"{type(error).__name__}: {short}")


def _is_ours(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Whether `error` was not raised by what runs in `task`, but into it."""
    if isinstance(error, asyncio.CancelledError):
        return task is not None and task.cancelling() > 0
    if isinstance(error, GeneratorExit):
        # A coroutine that is thrown away ends outside of its task.
        return task is not _task()
    # A running loop has Ctrl-C for itself.
    return isinstance(error, KeyboardInterrupt) and task is None and is_main_thread()


def is_main_thread() -> bool:
    """Whether a Ctrl-C of the person at the terminal comes up here."""
    return threading.current_thread() is threading.main_thread()


def _task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
