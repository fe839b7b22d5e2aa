"""How a log record looks: one line of JSON for programs, or text for people.

JSON fields follow the Elastic Common Schema: `@timestamp`, `log.level`, `log.logger`, `message`, `service.name`,
`service.version`, `event.action`, `error.type`, `error.message`, `error.stack_trace`; after them whatever the record
carries in `extra`. Whatever text a record brings along, a line stays one line, valid, short, and without a secret.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS, merge_record_extra
from pythonjsonlogger.defaults import unknown_default
from pythonjsonlogger.json import JsonFormatter

from pricestreamd.model.secret import redact
from pricestreamd.telemetry.plain import CONTROLS, Plain, escaped, text

SERVICE = "price-stream"
# journald cuts lines at 48 KiB, and others earlier; a line in halves is no JSON. In bytes, line end included.
LINE_LIMIT = 16_000
# Texts are cut to the first length with which the line fits. A control character may take six bytes.
TEXT_LIMITS = (6_000, 2_000, 600)
# What a record carries for the machinery of logging, not for the reader.
MACHINERY = frozenset({*RESERVED_ATTRS, "repeat", "taskName", "told_as"})
# In the schema `event` and `error` have members; a text of that name would make the line unacceptable to its readers.
RENAMED = {"action": "event.action", "event": "event.action", "error": "error.code"}
# Written by us, so that nothing can be wrong with them.
OWN = ("@timestamp", "log.level", "service.name", "service.version")
CORE = frozenset(
    {"message", "log.logger", "event.action", "error.code", "error.type", "error.message", "error.stack_trace"}
)

# The priorities of syslog, which journald reads from the start of a line.
PRIORITIES = ((logging.CRITICAL, "<2>"), (logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"))
DEBUG_PRIORITY = "<7>"

DIM, RESET = "\x1b[2m", "\x1b[0m"
COLOURS = ((logging.ERROR, "\x1b[31m"), (logging.WARNING, "\x1b[33m"), (logging.INFO, "\x1b[32m"))


def priority(level: int) -> str:
    """The prefix by which journald knows the importance of a line."""
    return next((prefix for least, prefix in PRIORITIES if level >= least), DEBUG_PRIORITY)


def extras_of(record: logging.LogRecord) -> dict[Any, Any]:
    """What the record carries in `extra`; `suppressed` only where something was."""
    found = merge_record_extra(record, {}, MACHINERY)
    if not found.get("suppressed", True):
        del found["suppressed"]
    return found


class JsonLines(JsonFormatter):
    """One line of JSON a record, of at most `LINE_LIMIT` bytes with its line end."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self._service = {"service.name": SERVICE, "service.version": version}

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """The record under the names of the schema; a field of the schema cannot be replaced by an extra."""
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data["@timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        log_data["log.level"] = record.levelname.lower()
        log_data["message"] = record.message
        log_data["log.logger"] = record.name
        log_data.update(self._service)
        extras = {**message_dict, **extras_of(record)}
        for name, schema_name in RENAMED.items():
            if name in extras:
                log_data.setdefault(schema_name, extras.pop(name))
        if record.exc_info and record.exc_info[0]:
            log_data["error.type"] = record.exc_info[0].__qualname__
            log_data["error.message"] = unknown_default(record.exc_info[1])
            log_data["error.stack_trace"] = extras.pop("exc_info", None)
        elif record.stack_info:
            log_data["error.stack_trace"] = record.stack_info
        extras.pop("exc_info", None)
        extras.pop("stack_info", None)
        for name, value in extras.items():
            log_data.setdefault(name, value)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """The line, without its end: as much of the texts as fits, and if need be nothing but the core."""
        own = {name: log_data[name] for name in OWN}
        head = {name: log_data[name] for name in OWN[:2]}
        rest = {name: value for name, value in log_data.items() if name not in own}
        line = dumps(head | Plain(TEXT_LIMITS[0], searched=False).mapping(rest) | own)
        if not fits(line) or redact(line) != line:
            line = self._careful(head, rest, own)
        return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line)

    @staticmethod
    def _careful(head: dict[str, Any], rest: dict[str, Any], own: dict[str, Any]) -> str:
        """The few lines that are too long, or hold a secret: each text is searched before it is put into the line."""
        for limit in TEXT_LIMITS:
            line = dumps(head | Plain(limit).mapping(rest) | own)
            if fits(line):
                break
        else:
            core = {name: value for name, value in rest.items() if name in CORE}
            line = dumps(head | Plain(TEXT_LIMITS[-1]).mapping(core) | own | {"truncated": True})
        # What is no text, such as a key that consists of digits, cannot be taken out without spoiling the line: so
        # the line itself becomes the message. No quotes: they would join what stands in two members.
        members = line.replace('"', "\n")
        if redact(members) != members:
            line = dumps(head | {"message": text(line, TEXT_LIMITS[-1])} | own)
        return line


def dumps(values: dict[str, Any]) -> str:
    """Strict JSON in UTF-8; spaces between the members keep a pattern for secrets from reaching over two of them."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def fits(line: str) -> bool:
    """Whether there is room for the line, a priority and a line end. What is escaped still takes six bytes each."""
    if len(line) * 6 < LINE_LIMIT:
        return True
    return len(line.encode()) + 6 * len(CONTROLS.findall(line)) + len(DEBUG_PRIORITY) + 1 <= LINE_LIMIT


class ConsoleLines(logging.Formatter):
    """Text for people: local time, level, message, extras as `name=value`; a traceback in lines of its own."""

    # Characters of a message, of the extras and of a line of a traceback. UTF-8 takes up to four bytes for each.
    MESSAGE, EXTRAS, STACK_LINE = 2_400, 1_200, 3_600

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The record; one line, and one more for each line of a traceback."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        message = escaped(text(record.getMessage(), self.MESSAGE))[: self.MESSAGE]
        extras = Plain(TEXT_LIMITS[-1], searched=False).mapping(extras_of(record))
        extras.pop("action", None)
        if "event" in extras:
            # Of an event a person reads the sentence; its fields are for programs, which read the other form.
            extras = {}
        fields = "".join(f" {escaped(name)}={self._value(value)}" for name, value in extras.items())[: self.EXTRAS]
        head = (
            f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
            f" {self._coloured(record.levelno, f'{record.levelname.lower():<7}')} {message}"
            f"{self._dimmed(f'{fields} ({escaped(record.name)[: self.EXTRAS]})')}"
        )
        stack = text(self._stack(record), TEXT_LIMITS[0])
        lines = [f"    {escaped(line)[: self.STACK_LINE]}" for line in stack.split("\n") if stack]
        return redact("\n".join([head, *lines]))

    def _stack(self, record: logging.LogRecord) -> str:
        if record.exc_info and record.exc_info[0]:
            return self.formatException(record.exc_info)
        return record.stack_info or ""

    @staticmethod
    def _value(value: object) -> str:
        if isinstance(value, str) and value and " " not in value:
            return escaped(value)
        return escaped(json.dumps(value, ensure_ascii=False))

    def _coloured(self, level: int, word: str) -> str:
        colour = next((colour for least, colour in COLOURS if level >= least), DIM)
        return f"{colour}{word}{RESET}" if self._colours else word

    def _dimmed(self, words: str) -> str:
        return f"{DIM}{words}{RESET}" if self._colours else words
