"""Setting up the log: who is heard, how it looks, where it goes, and that nobody ever waits for it.

The parts of the house log with the standard library under `pricestreamd`. One handler at the root renders each record
in the thread that logs (a line never changes after the call) and hands it to the writer's thread.

A record with `extra={"repeat": key}` is let through once a minute for each logger and key; the next one that gets
through carries `suppressed`, the number of those held back. `extra={"action": word}` becomes `event.action`; all
other extras become fields of their own.

A record with `extra={"told_as": event}` says what is an event, too. It is for programs in which no sink writes events
to the log; where one does (`LogControl.leave_to_sink`), the record is left out, so that each thing is said once.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from pricestreamd.model.sampling import OncePer
from pricestreamd.telemetry.build_info import build_info
from pricestreamd.telemetry.log_format import ConsoleLines, JsonLines, priority
from pricestreamd.telemetry.log_writer import LineWriter
from pricestreamd.telemetry.settings import LoggingSettings

LOGGER = "pricestreamd"
REPEAT_SECONDS = 60.0
CLOSE_SECONDS = 2.0
# Libraries that talk much: warnings and errors only, and each message of theirs once a minute.
CHATTY = frozenset({"aiohttp", "apprise", "asyncio", "asyncpg", "nats", "redis", "urllib3"})


class QueuedHandler(logging.handlers.QueueHandler):
    """Renders a record and hands the line to the writer. Never waits and never raises."""

    def __init__(
        self,
        writer: LineWriter,
        formatter: logging.Formatter,
        *,
        priorities: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(queue.SimpleQueue())  # never used: the writer has the queue
        self.setFormatter(formatter)
        self._writer = writer
        self._priorities = priorities
        self._clock = clock
        self._said = OncePer(REPEAT_SECONDS)
        self.left_to_sink: tuple[str, ...] = ()
        """Names of events; a record that is `told_as` one of them is left out."""

    def emit(self, record: logging.LogRecord) -> None:
        """Under the handler's lock."""
        # No set: whatever a stranger puts into the field may be compared, but perhaps not hashed.
        if self.left_to_sink and getattr(record, "told_as", None) in self.left_to_sink:
            return
        key = getattr(record, "repeat", None)
        if record.name.partition(".")[0] in CHATTY:
            if record.levelno < logging.WARNING:
                return
            key = key or record.msg
        if key is not None:
            held_back = self._said.admit((record.name, str(key)), self._clock())
            if held_back is None:
                return
            record.suppressed = held_back
        super().emit(record)

    def prepare(self, record: logging.LogRecord) -> str:
        """The rendered line, with journald's priority in front of each of its lines."""
        rendered = self.format(record)
        if not self._priorities:
            return rendered
        prefix = priority(record.levelno)
        return "\n".join(prefix + line for line in rendered.split("\n"))

    def enqueue(self, record: Any) -> None:
        """Hand the line over; `record` is what `prepare` made."""
        self._writer.offer(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A record that cannot be rendered is told of by its template, which is a text of the code's own."""
        told = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno,
            "a log record could not be rendered: %.200r", (record.msg if isinstance(record.msg, str) else "",), None,
        )  # fmt: skip
        self.enqueue(self.prepare(told))


class LogControl:
    """The log while it is set up. `close` puts everything back as it was."""

    def __init__(self, handler: QueuedHandler, writer: LineWriter, level: str) -> None:
        self._handler = handler
        self._writer = writer
        self._root = logging.getLogger()
        self._ours = logging.getLogger(LOGGER)
        self._before = (self._root.level, self._ours.level)
        self._level = level
        self._debug = False
        self._root.addHandler(handler)
        self._use()

    @property
    def dropped(self) -> int:
        """Lines lost because nobody took them."""
        return self._writer.lost

    @property
    def debug(self) -> bool:
        """Whether `toggle_debug` has switched the debug log on."""
        return self._debug

    def set_level(self, level: str) -> None:
        """Log from `level` (`debug`, `info`, `warning`, `error`) on. Ends what `toggle_debug` began."""
        self._level = level
        self._debug = False
        self._use()

    def toggle_debug(self) -> bool:
        """Switch the debug log on, or back to the configured level; say whether it is on now."""
        self._debug = not self._debug
        self._use()
        return self._debug

    def leave_to_sink(self, *events: str) -> None:
        """A sink writes every event of these names to the log: leave out the records that say the same."""
        self._handler.left_to_sink = events

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is queued, for `timeout` seconds at most. Blocks: call it when nothing else runs."""
        self._root.removeHandler(self._handler)
        self._root.setLevel(self._before[0])
        self._ours.setLevel(self._before[1])
        self._writer.close(timeout)
        self._handler.close()

    def _use(self) -> None:
        level = logging.DEBUG if self._debug else logging.getLevelNamesMapping()[self._level.upper()]
        self._ours.setLevel(level)
        # Functions of the user's own are heard, too, but nobody's debug log but ours.
        self._root.setLevel(max(level, logging.INFO))


def setup_logging(settings: LoggingSettings, *, stream: TextIO | None, environ: Mapping[str, str]) -> LogControl:
    """Log to `stream` (None where the process was started without one) from now on."""
    terminal = stream is not None and not stream.closed and stream.isatty()
    console = settings.format == "console" or (settings.format == "auto" and terminal)
    formatter: logging.Formatter
    if console:
        colours = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        formatter = ConsoleLines(colours=colours)
    else:
        formatter = JsonLines(build_info().version)
    priorities = is_journal(stream, environ)

    def notice(lost: int) -> str:
        record = logging.LogRecord(
            __name__, logging.WARNING, __file__, 0, "%d log lines were lost: nobody took them", (lost,), None
        )
        record.lost = lost
        line = formatter.format(record)
        return priority(record.levelno) + line if priorities else line

    writer = LineWriter(stream, notice)
    return LogControl(QueuedHandler(writer, formatter, priorities=priorities), writer, settings.level)


def is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether `stream` leads to journald: `$JOURNAL_STREAM` holds the device and inode of what systemd gave us."""
    told = environ.get("JOURNAL_STREAM")
    if not told or stream is None:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return told == f"{status.st_dev}:{status.st_ino}"
