"""What the log promises: one valid line a record, no secret, no waiting, no flood."""

import asyncio
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.secret import Secret
from pricestreamd.telemetry import log_writer
from pricestreamd.telemetry.log_format import LINE_LIMIT, ConsoleLines, JsonLines, priority
from pricestreamd.telemetry.logs import LOGGER, QueuedHandler, setup_logging
from pricestreamd.telemetry.settings import LoggingSettings
from tests.unit.telemetry.hostile import TEXTS

log = logging.getLogger("pricestreamd.feeds.client")
JSON = LoggingSettings(format="json", level="debug")
CONSOLE = LoggingSettings(format="console", level="debug")
CONSOLE_LINES = ConsoleLines(colours=False)


class Log:
    """A log set up on a real pipe, whose other end collects what comes."""

    def __init__(self, settings: LoggingSettings, environ: Mapping[str, str]) -> None:
        read_end, write_end = os.pipe()
        self._taken = b""
        self._reader = threading.Thread(target=self._take, args=(read_end,))
        self._reader.start()
        with os.fdopen(write_end, "w", encoding="utf-8") as stream:
            if "JOURNAL_STREAM" in environ:
                status = os.fstat(write_end)
                environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            self.control = setup_logging(settings, stream=stream, environ=environ)

    def _take(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as pipe:
            self._taken = pipe.read()

    def text(self) -> str:
        self.control.close()
        self._reader.join()
        return self._taken.decode("utf-8")

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.text().split("\n")[:-1]]


@contextmanager
def logging_to(settings: LoggingSettings = JSON, environ: Mapping[str, str] = {}) -> Iterator[Log]:
    made = Log(settings, environ)
    try:
        yield made
    finally:
        made.text()


# --- the JSON line


def test_a_line_has_the_fields_of_the_schema() -> None:
    with logging_to() as made:
        log.info("connected to %s", "example.org", extra={"action": "feed.connected", "feed": "us", "port": 443})
        line = made.records()[0]

    assert line.pop("@timestamp").endswith("Z")
    assert line.pop("service.version")
    assert line == {
        "log.level": "info",
        "message": "connected to example.org",
        "log.logger": "pricestreamd.feeds.client",
        "event.action": "feed.connected",
        "feed": "us",
        "port": 443,
        "service.name": "price-stream",
    }


def test_the_time_is_rfc_3339_in_utc_with_milliseconds() -> None:
    record = logging.LogRecord("pricestreamd", logging.INFO, "", 0, "x", (), None)
    record.created = 1_700_000_000.123987

    assert json.loads(JsonLines("1").format(record))["@timestamp"] == "2023-11-14T22:13:20.123Z"


def test_an_exception_is_told_with_type_message_and_stack_in_the_same_line() -> None:
    with logging_to() as made:
        try:
            fail(ValueError("no\nprice"))
        except ValueError:
            log.exception("failed")
        line = made.records()[0]

    assert (line["error.type"], line["error.message"]) == ("ValueError", "no\nprice")
    assert line["error.stack_trace"].startswith("Traceback")
    assert "raise error" in line["error.stack_trace"]
    assert "exc_info" not in line


def test_a_stack_may_be_asked_for_without_an_exception() -> None:
    with logging_to() as made:
        log.info("here", stack_info=True)
        log.info("nothing raised", exc_info=True)  # noqa: LOG014 - on purpose
        here, nothing = made.records()

    assert "Stack" in here["error.stack_trace"]
    assert not [name for name in nothing if name.startswith("error.")]


def test_a_field_of_the_schema_cannot_be_forged_by_an_extra() -> None:
    with logging_to() as made:
        log.info("x", extra={"log.level": "a", "service.name": "b", "@timestamp": "c", "error.type": "d"})
        log.info({"message": "e", b"log.level": "f", "log.logger": "g"})
        lines = made.records()

    assert {(line["log.level"], line["service.name"], line["log.logger"]) for line in lines} == {
        ("info", "price-stream", log.name)
    }
    assert all(line["@timestamp"].endswith("Z") for line in lines)


def fail(error: Exception) -> NoReturn:
    raise error


def test_an_event_and_its_error_word_keep_out_of_the_way_of_the_schema() -> None:
    with logging_to() as made:
        log.error("no data", extra={"event": "price.error", "error": "feed_down", "feed": "us"})
        log.info("x", extra={"action": "ready", "event": "price.update"})
        error, both = made.records()

    assert (error["event.action"], error["error.code"], error["feed"]) == ("price.error", "feed_down", "us")
    assert both["event.action"] == "ready"
    assert not {"event", "error", "action"} & (set(error) | set(both))


def test_a_line_that_only_looks_as_if_it_held_a_secret_keeps_its_fields() -> None:
    with logging_to() as made:
        log.info("sort by key=", extra={"next": "value", "url": "http://127.0.0.1:9777", "mail": "a@b"})
        log.info("header\nAuthorization: Basic hidden\nkey=hidden", extra={"feed": "us"})
        first, second = made.records()

    assert (first["message"], first["next"], first["mail"]) == ("sort by key=", "value", "a@b")
    assert (second["message"], second["feed"]) == ("header\nAuthorization: ***\nkey=***", "us")


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), None),
        (float("inf"), None),
        ({"deep": [1.5, float("-inf"), True, None]}, {"deep": [1.5, None, True, None]}),
        (2**64, "0x10000000000000000"),
        (-5, -5),
        ({1: "a", (2, 3): "b", None: "c"}, {"1": "a", "(2, 3)": "b", "None": "c"}),
        ((1, {"x"}), [1, ["x"]]),
        (b"caf\xc3\xa9\xff", "café\\xff"),
        (ValueError("why"), "ValueError: why"),
        (Broken(), "__could_not_encode__"),
        (Secret("CANARY-extra-55aa"), "***"),
        ({"api_key": "literal", "X-Token": "literal", "keys": 3}, {"api_key": "***", "X-Token": "***", "keys": 3}),
        (Path("/tmp/x"), "/tmp/x"),
        ("\ud800", "\\ud800"),
    ],
)
def test_an_extra_of_any_kind_becomes_plain_json(value: object, shown: object) -> None:
    with logging_to() as made:
        log.info("x", extra={"value": value})
        line = made.records()[0]

    assert line["value"] == shown


@pytest.mark.parametrize(
    "value", [LOOP, [[[[[[[[1]]]]]]]], {str(n): {str(m): m for m in range(99)} for n in range(999)}]
)
def test_an_extra_without_end_is_cut(value: object) -> None:
    with logging_to() as made:
        log.info("x", extra={"value": value})
        line = made.text()

    assert len(line.encode()) <= LINE_LIMIT


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_breaks_a_line_wherever_it_stands(text: str) -> None:
    hostile_logger = logging.getLogger(f"pricestreamd.{text}")
    with logging_to() as made:
        log.info(text)
        log.info("%s", text)
        log.info("x", extra={"field": text, f"x{text}": 1, "deep": [{text: text}]})
        hostile_logger.warning("x")
        try:
            fail(ValueError(text))
        except ValueError:
            log.exception("failed: %s", text)
        written = made.text()

    lines = written.split("\n")
    assert lines.pop() == ""
    assert len(lines) == 5
    for line in lines:
        assert json.loads(line, parse_constant=pytest.fail)["log.level"] in {"info", "warning", "error"}
        assert len(line.encode()) < LINE_LIMIT
        assert line.isprintable() or not any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in line)
        assert len(line.splitlines()) == 1


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.integers(), inner, max_size=5),
    max_leaves=20,
)


@given(st.text(), JSON_LIKE)
def test_any_record_is_one_line_of_valid_json(message: str, value: object) -> None:
    record = logging.LogRecord("pricestreamd", logging.INFO, "", 0, message, None, None)
    record.value = value

    line = JsonLines("1").format(record)

    assert json.loads(line, parse_constant=pytest.fail)["log.logger"] == "pricestreamd"
    assert len(line.splitlines()) == 1
    assert len(line.encode("utf-8")) < LINE_LIMIT


@given(st.text(), JSON_LIKE)
def test_any_record_is_readable_text_without_control_characters(message: str, value: object) -> None:
    record = logging.LogRecord("pricestreamd", logging.INFO, "", 0, message, None, None)
    record.value = value

    for line in CONSOLE_LINES.format(record).split("\n"):
        assert not any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in line)
        assert len(line.encode("utf-8", "backslashreplace")) < LINE_LIMIT


def test_a_long_message_keeps_its_start_and_its_end() -> None:
    with logging_to() as made:
        log.info("start %s end", "x" * 100_000)
        log.info("%s", "€" * 100_000, extra={f"field{n}": "y" * 1000 for n in range(100)})
        message, crowded = made.records()

    assert message["message"].startswith("start xxx")
    assert message["message"].endswith("xxx end")
    assert crowded["message"].startswith("€€€")
    assert crowded["truncated"] is True


# --- text for people


def test_the_console_shows_time_level_message_and_extras() -> None:
    with logging_to(CONSOLE) as made:
        log.info("connected", extra={"action": "feed.connected", "feed": "us", "why": "first try", "ms": 1.5})
        line = made.text()

    assert line[13:] == 'info    connected feed=us why="first try" ms=1.5 (pricestreamd.feeds.client)\n'


def test_the_console_shows_a_traceback_in_lines_of_its_own() -> None:
    with logging_to(CONSOLE) as made:
        try:
            fail(ValueError("\x1b[31mred"))
        except ValueError:
            log.exception("failed\nforged")
        head, *stack = made.text().splitlines()

    assert head[13:] == "error   failed\\nforged (pricestreamd.feeds.client)"
    assert stack[0] == "    Traceback (most recent call last):"
    assert stack[-1] == "    ValueError: \\x1b[31mred"


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_reaches_the_terminal_as_a_command(text: str) -> None:
    with logging_to(CONSOLE) as made:
        log.info("%s", text, extra={"field": text})
        log.warning("x", extra={"field": {text: text}})
        written = made.text()

    assert written.count("\n") == 2
    assert not any(letter < " " and letter != "\n" for letter in written)
    assert not any("\x7f" <= letter <= "\x9f" or "\u202a" <= letter <= "\u202e" for letter in written)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("settings_format", "terminal", "console"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("console", False, True),
        ("json", True, False),
    ],
)
def test_the_format_follows_the_terminal_unless_it_is_set(settings_format: Any, terminal: bool, console: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    control = setup_logging(LoggingSettings(format=settings_format), stream=stream, environ={})
    log.info("x")
    control.close()

    assert stream.getvalue().startswith("{") is not console


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], coloured: bool) -> None:
    stream, file = Terminal(), io.StringIO()
    for target in (stream, file):
        control = setup_logging(CONSOLE, stream=target, environ=environ)
        log.warning("x")
        control.close()

    assert ("\x1b[" in stream.getvalue()) is coloured
    assert "\x1b[" not in file.getvalue()


# --- journald


def test_a_line_to_the_journal_begins_with_its_priority() -> None:
    with logging_to(JSON, {"JOURNAL_STREAM": "matching"}) as made:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL, 25):
            log.log(level, "<0>x")
        lines = made.text().splitlines()

    assert [line[:4] for line in lines] == ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{", "<6>{"]
    assert all(json.loads(line[3:])["message"] == "<0>x" for line in lines)


def test_each_line_of_a_text_for_the_journal_has_its_priority() -> None:
    with logging_to(CONSOLE, {"JOURNAL_STREAM": "matching"}) as made:
        try:
            fail(ValueError())
        except ValueError:
            log.exception("x")
        lines = made.text().splitlines()

    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize("told", ["", "0:0", "garbage", "1:2:3"])
def test_a_journal_that_is_somewhere_else_gets_no_priorities(told: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        control = setup_logging(JSON, stream=stream, environ={"JOURNAL_STREAM": told})
        log.info("x")
        control.close()

    assert path.read_text().startswith("{")


def test_every_level_has_a_priority() -> None:
    assert [priority(level) for level in (0, 10, 20, 29, 30, 40, 50, 99)] == [
        "<7>", "<7>", "<6>", "<6>", "<4>", "<3>", "<2>", "<2>",
    ]  # fmt: skip


# --- secrets


@pytest.mark.parametrize("settings", [JSON, CONSOLE])
def test_a_key_is_in_no_line_wherever_it_came_from(settings: LoggingSettings) -> None:
    canary = 'CANARY-7d1f/ü+"&x'
    forms = [canary, "CANARY-7d1f%2F%C3%BC%2B%22%26x", "Q0FOQVJZLTdkMWYvw7wrIiZ4"]
    digits = "918273645546372819"
    for secret in (canary, digits, "CANARY_word"):
        Secret(secret)
    with logging_to(settings) as made:
        for form in forms:
            log.info(form)
            log.info("at %s", form, extra={"url": f"wss://x/?apikey={form}", "deep": {"a": [form]}, form: 1})
            log.info("%r %s", Secret(canary), {"key": form}, extra={"raw": form.encode()})
            log.info("%s", "x" * 5_000 + form, extra={"cut": "y" * 5_995 + form, "long": "z" * 65_530 + form})
            log.info("%s", "z" * 32_765 + form + "z" * 50_000 + form + "z" * 32_763, extra={"many": form * 6_000})
            try:
                fail(ConnectionError(f"401, url='wss://x/?apikey={form}'"))
            except ConnectionError:
                log.exception("refused")
        log.info("number", extra={"number": int(digits), "list": [int(digits)], "CANARY_word": 1})
        written = made.text()

    for form in (*forms, json.dumps(canary)[1:-1], digits, "CANARY", "Q0FOQVJZ"):
        assert form not in written
    if settings is JSON:
        for line in written.splitlines():
            json.loads(line)


def test_a_value_named_like_a_secret_is_hidden_though_nobody_registered_it() -> None:
    with logging_to() as made:
        log.info(
            "GET /quote?apikey=unregistered-1&symbol=AAPL", extra={"header": "Authorization: Bearer unregistered-2"}
        )
        log.info("postgresql://user:unregistered-3@db/x", extra={"password": "unregistered-4"})
        written = made.text()

    assert "unregistered" not in written
    assert "symbol=AAPL" in written


# --- repeats


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Lines(log_writer.LineWriter):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []

    def offer(self, line: str) -> None:
        self.kept.append(json.loads(line))


def alone(handler: logging.Handler) -> logging.Logger:
    """A logger that nobody hears but `handler`."""
    made = logging.Logger(log.name)  # noqa: LOG001 - outside the tree of loggers, where pytest listens, too
    made.addHandler(handler)
    return made


def test_a_repeat_is_let_through_first_and_then_once_a_minute_with_the_number_held_back() -> None:
    clock, lines = Clock(), Lines()
    handler = QueuedHandler(lines, JsonLines("1"), clock=clock)
    own = alone(handler)

    for second in range(150):
        clock.now = float(second)
        own.warning("bad frame %d", second, extra={"repeat": ("json", "us")})

    assert [(line["message"], line.get("suppressed")) for line in lines.kept] == [
        ("bad frame 0", None), ("bad frame 60", 59), ("bad frame 120", 59),
    ]  # fmt: skip
    assert all("repeat" not in line for line in lines.kept)


def test_repeats_are_told_apart_by_logger_and_key_and_other_records_are_never_held_back() -> None:
    with logging_to() as made:
        for _ in range(3):
            log.warning("a", extra={"repeat": "json"})
            log.warning("b", extra={"repeat": "utf8"})
            log.warning("d", extra={"repeat": ["not", {"hashable": 1}]})
            logging.getLogger("pricestreamd.sinks.delivery.worker").warning("c", extra={"repeat": "json"})
            log.warning("state")
        messages = [line["message"] for line in made.records()]

    assert sorted(messages) == ["a", "b", "c", "d", "state", "state", "state"]


def test_who_counts_repeats_itself_shows_them_only_where_there_were_any() -> None:
    with logging_to() as made:
        log.warning("x", extra={"suppressed": 0})
        log.warning("y", extra={"suppressed": 7})
        none, seven = made.records()

    assert "suppressed" not in none
    assert seven["suppressed"] == 7


def test_what_a_sink_writes_as_an_event_is_left_out_and_only_then() -> None:
    with logging_to() as made:
        for number, left in enumerate([(), ("price.error",), ()]):
            made.control.leave_to_sink(*left)
            log.warning("the dial failed (%d)", number, extra={"told_as": "price.error"})
            log.warning("something else (%d)", number, extra={"told_as": {"un": "hashable"}})
        records = made.records()

    assert [record["message"] for record in records] == [
        "the dial failed (0)",
        "something else (0)",
        "something else (1)",
        "the dial failed (2)",
        "something else (2)",
    ]
    assert not any("told_as" in record for record in records)


def test_libraries_that_talk_much_are_heard_from_warnings_on_and_once_a_minute() -> None:
    with logging_to() as made:
        for n in range(3):
            logging.getLogger("aiohttp.access").info("GET / %d", n)
            logging.getLogger("aiohttp.server").warning("bad request %d", n)
            logging.getLogger("mytrading.hooks").info("mine")
            logging.getLogger("mytrading.hooks").debug("mine, too")
        messages = [line["message"] for line in made.records()]

    assert sorted(messages) == ["bad request 0", "mine", "mine", "mine"]


def test_a_record_that_cannot_be_rendered_is_told_of_by_its_template() -> None:
    lines = Lines()
    own = alone(QueuedHandler(lines, JsonLines("1")))

    own.error("%d prices", "no number")
    own.error("%s", Broken())
    own.error(Broken())

    assert [line["message"] for line in lines.kept] == [
        "a log record could not be rendered: '%d prices'",
        "a log record could not be rendered: '%s'",
        "a log record could not be rendered: ''",
    ]
    assert {line["log.level"] for line in lines.kept} == {"error"}


# --- levels


def test_the_level_is_the_least_that_is_heard() -> None:
    with logging_to(LoggingSettings(format="json", level="warning")) as made:
        log.info("quiet")
        log.warning("heard")
        assert [line["message"] for line in made.records()] == ["heard"]


def test_the_debug_log_can_be_switched_on_and_off_while_running() -> None:
    with logging_to(LoggingSettings(format="json", level="warning")) as made:
        log.debug("1")
        assert made.control.toggle_debug() is True
        assert made.control.debug
        log.debug("2")
        assert made.control.toggle_debug() is False
        log.info("3")
        made.control.toggle_debug()
        made.control.set_level("info")
        log.debug("4")
        log.info("5")
        assert [line["message"] for line in made.records()] == ["2", "5"]


def test_closing_puts_everything_back() -> None:
    root, ours = logging.getLogger(), logging.getLogger(LOGGER)
    before = (root.handlers[:], root.level, ours.level)

    with logging_to():
        assert root.handlers != before[0]

    assert (root.handlers, root.level, ours.level) == before


# --- never waiting


# A write that waited would wait for ever: the limits of time only have to be shorter than that of a test.
SOON = 10.0


class FullPipe:
    """A pipe that is full, and that nobody reads until `read_until`."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        with suppress(BlockingIOError):
            while True:
                os.write(write_end, b"\n" * 4096)
        os.set_blocking(write_end, True)
        self.stream = os.fdopen(write_end, "w", encoding="utf-8")

    def read_until(self, words: bytes) -> list[dict[str, Any]]:
        """The lines up to and including the one with `words`."""
        taken = b""
        while not (words in taken and taken.endswith(b"\n")):
            taken += os.read(self.read_end, 65_536)
        return [json.loads(line) for line in taken.decode().split("\n") if line]

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.read_end)
        self.stream.close()


@pytest.fixture
def full_pipe() -> Iterator[FullPipe]:
    made = FullPipe()
    yield made
    made.close()


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_its_losses_are_counted_and_told(full_pipe: FullPipe) -> None:
    control = setup_logging(JSON, stream=full_pipe.stream, environ={})
    count = log_writer.QUEUE_LINES + 500

    started = time.perf_counter()
    for n in range(count):
        log.info("line %d", n)
    lost = control.dropped

    assert time.perf_counter() - started < SOON
    assert 0 < lost <= 500
    lines = full_pipe.read_until(b"nobody took them")
    control.close()
    assert lines.pop()["lost"] == lost
    numbers = [int(line["message"].removeprefix("line ")) for line in lines]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == count - lost


def test_closing_a_log_that_is_stuck_takes_no_longer_than_allowed(full_pipe: FullPipe) -> None:
    control = setup_logging(JSON, stream=full_pipe.stream, environ={})
    for n in range(10):
        log.info("line %d", n)

    started = time.perf_counter()
    control.close(timeout=0.2)

    assert time.perf_counter() - started < SOON
    assert control.dropped == 10


def test_a_program_whose_log_is_stuck_can_still_end() -> None:
    code = (
        "import logging, os, sys\n"
        "from pricestreamd.telemetry.logs import setup_logging\n"
        "from pricestreamd.telemetry.settings import LoggingSettings\n"
        "control = setup_logging(LoggingSettings(format='json'), stream=sys.stdout, environ={})\n"
        "for n in range(3000): logging.getLogger('pricestreamd').info('x' * 500)\n"
        "control.close(0.1)\n"
        "os.write(2, b'%d lost' % control.dropped)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(10) == 0
    assert told.endswith(b" lost")


@pytest.mark.parametrize("kind", ["closed stream", "closed descriptor", "closed reader", "full disk", "none"])
def test_a_stream_that_takes_nothing_costs_lines_and_nothing_else(kind: str) -> None:
    stream: TextIO | None
    if kind == "full disk":
        stream = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", encoding="utf-8")
    elif kind == "none":
        stream = None
    else:
        read_end, write_end = os.pipe()
        stream = os.fdopen(write_end, "w", encoding="utf-8", closefd=kind != "closed descriptor")
        os.close(read_end)
        if kind == "closed stream":
            stream.close()
        elif kind == "closed descriptor":
            os.close(write_end)
    control = setup_logging(JSON, stream=stream, environ={"JOURNAL_STREAM": "1:2"})

    for n in range(20):
        log.info("line %d", n)
    control.close()
    log.info("after the end")

    assert control.dropped == 20
    if stream is not None and kind != "closed descriptor":
        stream.close()


def test_a_descriptor_that_was_given_to_a_socket_receives_no_line() -> None:
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "w", encoding="utf-8", closefd=False)
    control = setup_logging(JSON, stream=stream, environ={})
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), write_end)

    log.info("x")
    control.close()

    assert b'"message": "x"' in os.read(read_end, 4096)
    theirs.settimeout(0)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    for descriptor in (read_end, write_end):
        os.close(descriptor)
    ours.close()
    theirs.close()


def test_a_non_blocking_stream_that_is_full_is_waited_for(full_pipe: FullPipe) -> None:
    os.set_blocking(full_pipe.stream.fileno(), False)
    control = setup_logging(JSON, stream=full_pipe.stream, environ={})
    for n in range(100):
        log.info("line %d", n)

    assert len(full_pipe.read_until(b"line 99")) == 100
    control.close()
    assert control.dropped == 0


def test_closing_a_full_non_blocking_stream_ends_its_thread(full_pipe: FullPipe) -> None:
    os.set_blocking(full_pipe.stream.fileno(), False)
    before = set(threading.enumerate())
    control = setup_logging(JSON, stream=full_pipe.stream, environ={})
    (writer,) = set(threading.enumerate()) - before
    log.info("x")

    control.close(0.05)

    assert control.dropped == 1
    writer.join(SOON)
    assert not writer.is_alive()


def test_a_line_of_which_a_part_got_through_does_not_run_into_the_next_one(tmp_path: Path) -> None:
    # A file that may grow to 100 bytes only is a disk that fills up in the middle of a line.
    code = (
        "import resource, signal, sys\n"
        "from pricestreamd.telemetry.log_writer import LineWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
        "writer = LineWriter(open(sys.argv[1], 'w'), lambda lost: f'{lost} lost')\n"
        "def settled(n):\n"
        "    while writer._finished < n: pass\n"
        "writer.offer('a' * 80); settled(1)\n"
        "writer.offer('b' * 80); settled(2)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "writer.offer('c' * 80); settled(3)\n"
        "writer.close(5)\n"
        "sys.exit(writer.lost)\n"
    )
    path = tmp_path / "log"

    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=30).returncode == 1
    first, torn, third, notice = path.read_text().splitlines()
    assert (first, torn, third, notice) == ("a" * 80, "b" * 19, "c" * 80, "1 lost")


def test_records_from_many_threads_are_whole_lines_and_none_is_lost() -> None:
    def talk(t: int) -> None:
        for n in range(100):
            log.info("%d %d", t, n)

    with logging_to() as made:
        threads = [threading.Thread(target=talk, args=(t,)) for t in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        messages = [line["message"] for line in made.records()]

    assert sorted(messages) == sorted(f"{t} {n}" for t in range(8) for n in range(100))
    for t in range(8):
        assert [message for message in messages if message.startswith(f"{t} ")] == [f"{t} {n}" for n in range(100)]


async def test_a_loop_whose_log_is_stuck_goes_on(full_pipe: FullPipe) -> None:
    control = setup_logging(JSON, stream=full_pipe.stream, environ={})
    started = time.perf_counter()
    for _ in range(50):
        for n in range(100):
            log.info("line %d", n)
        await asyncio.sleep(0)

    assert time.perf_counter() - started < SOON
    assert control.dropped > 0
    os.close(full_pipe.read_end)
    control.close()


def test_an_event_on_the_console_is_its_sentence() -> None:
    record = logging.makeLogRecord(
        {
            "name": "pricestreamd.events",
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "AAPL 200.35 crossed above 200.00",
            "event": "price.alert",
            "id": "r-1",
            "symbol": "AAPL",
        }
    )
    line = ConsoleLines(colours=False).format(record)
    assert line.endswith(" warning AAPL 200.35 crossed above 200.00 (pricestreamd.events)")
