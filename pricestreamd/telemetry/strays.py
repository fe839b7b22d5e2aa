"""What nobody catches is told by the log: errors in threads and finalisers, and warnings of Python and its libraries.

Python prints those to stderr by itself, as they are. They go where all records go, bounded and without secrets; where
no log is set up, as in most commands, to stderr, without secrets.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import TextIO

from pricestreamd.model.secret import redact

_log = logging.getLogger(__name__)


def tell_strays() -> None:
    """From now on, for the rest of the process: call it only where the process is ours."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Redacted())
    warnings.showwarning = _warned
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _warned(  # noqa: PLR0917 - the signature is the library's
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - as above
    line: str | None = None,  # noqa: ARG001 - as above
) -> None:
    _log.warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)


class _Redacted(logging.Formatter):
    """Message and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _log.critical("not caught: %s", kind.__qualname__, exc_info=(kind, error, traceback))


def _unraisable(stray: sys.UnraisableHookArgs) -> None:
    what = stray.err_msg or "an error that cannot be raised"
    error = stray.exc_value or stray.exc_type()
    _log.error("%s in %s", what, type(stray.object).__qualname__, exc_info=(stray.exc_type, error, stray.exc_traceback))


def _in_thread(stray: threading.ExceptHookArgs) -> None:
    if stray.exc_type is SystemExit:
        return
    name = stray.thread.name if stray.thread is not None else "?"
    error = stray.exc_value or stray.exc_type()
    _log.error("thread %s failed", name, exc_info=(stray.exc_type, error, stray.exc_traceback))
