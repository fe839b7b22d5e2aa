"""What the service manager is told: over a real datagram socket, also one that nobody reads."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pricestreamd.daemon.alive.sdnotify import (
    STATUS_LIMIT,
    STATUS_SECONDS,
    UNSENT_LIMIT,
    ServiceManager,
    watchdog_seconds,
)
from pricestreamd.model.secret import Secret


class Manager:
    """The other end: what systemd would have read."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0)

    def heard(self) -> list[str]:
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(65_536).decode("utf-8"))
        return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    made = Manager(address)
    yield made
    made.socket.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(manager: Manager, clock: Clock) -> Iterator[ServiceManager]:
    made = ServiceManager(clock=clock)
    yield made
    made.close()


def test_ready_and_status_come_in_one_datagram(manager: Manager, service: ServiceManager) -> None:
    service.ready("2/2 feeds live")

    assert service.listens
    assert manager.heard() == ["READY=1\nSTATUS=2/2 feeds live"]


def test_a_reload_begins_with_the_monotonic_time_and_ends_with_ready(manager: Manager, service: ServiceManager) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    service.reloading()
    service.ready("configuration refused: 2 errors")
    begun, ended = manager.heard()

    state, moment, status = begun.split("\n")
    assert (state, status) == ("RELOADING=1", "STATUS=reloading the configuration")
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert ended == "READY=1\nSTATUS=configuration refused: 2 errors"


def test_after_a_reload_how_the_daemon_is_stays_in_sight(manager: Manager, service: ServiceManager) -> None:
    service.reloaded("reloaded")
    service.status("1/1 feeds live", changed=True)
    service.reloading()
    service.reloaded("reload refused")
    told = manager.heard()
    assert told[0] == "READY=1\nSTATUS=reloaded"
    assert told[-1] == "READY=1\nSTATUS=reload refused; 1/1 feeds live"


def test_stopping_is_told(manager: Manager, service: ServiceManager) -> None:
    service.stopping("flushing 3 sinks")

    assert manager.heard() == ["STOPPING=1\nSTATUS=flushing 3 sinks"]


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"@pricestreamd-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    manager, service = Manager(address), ServiceManager()

    service.ready("x")

    assert manager.heard() == ["READY=1\nSTATUS=x"]
    service.close()
    manager.socket.close()


# --- status


def test_a_status_is_told_at_most_every_five_seconds(manager: Manager, service: ServiceManager, clock: Clock) -> None:
    for tenth in range(120):
        clock.now = 1000.0 + tenth / 10
        service.status(f"{tenth} updates/s")

    assert manager.heard() == ["STATUS=0 updates/s", "STATUS=50 updates/s", "STATUS=100 updates/s"]


def test_a_change_of_state_is_told_at_once(manager: Manager, service: ServiceManager) -> None:
    service.status("2/2 feeds live")
    service.status("1/2 feeds live")
    service.status("0/2 feeds live", changed=True)

    assert manager.heard() == ["STATUS=2/2 feeds live", "STATUS=0/2 feeds live"]


def test_the_same_status_is_not_told_twice(manager: Manager, service: ServiceManager, clock: Clock) -> None:
    service.ready("fine")
    clock.now += STATUS_SECONDS * 2
    service.status("fine", changed=True)

    assert manager.heard() == ["READY=1\nSTATUS=fine"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("日本 → ü", "日本 → ü"),
        ("down\nREADY=1\r\nSTOPPING=1", "down READY=1  STOPPING=1"),
        ("\x1b[31mred\x00", " [31mred "),
        ("\ud800", " "),
        ("x" * 5000, "x" * STATUS_LIMIT),
        ("at wss://x/?apikey=CANARY-status-91", "at wss://x/?apikey=***"),
        ("refused CANARY-status-91", "refused ***"),
    ],
)
def test_a_status_is_one_line_of_text_without_secrets(
    manager: Manager, service: ServiceManager, text: str, told: str
) -> None:
    Secret("CANARY-status-91")

    service.status(text)
    service.ready(text)

    assert manager.heard() == [f"STATUS={told}", f"READY=1\nSTATUS={told}"]


# --- nobody there


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    service = ServiceManager({"WATCHDOG_USEC": "1000000"})

    service.ready("x")
    service.reloading()
    service.status("x")
    service.alive()
    service.stopping("x")
    service.close()

    assert not service.listens
    assert service.watchdog_seconds is None


@pytest.mark.parametrize("address", ["/nonexistent/notify", "@nobody-listens-here", "relative", "@"])
def test_an_address_where_nobody_listens_is_no_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    service = ServiceManager()

    service.ready("x")

    assert not service.listens


def test_a_manager_that_went_away_is_no_error(manager: Manager, service: ServiceManager) -> None:
    manager.socket.close()

    service.ready("x")
    service.status("y", changed=True)
    service.alive()


# --- a manager that does not read


def fill(service: ServiceManager, manager: Manager) -> int:
    """Ping until the socket is full; return how many datagrams are in it."""
    for count in range(100_000):
        if not service._send("WATCHDOG=1"):
            return count
    pytest.fail(f"{manager.socket} was never full")


def test_a_manager_that_does_not_read_holds_up_nobody(manager: Manager, service: ServiceManager) -> None:
    fill(service, manager)
    started = time.perf_counter()

    for n in range(2000):
        service.status(str(n), changed=True)
        service.alive()

    assert time.perf_counter() - started < 5.0  # a send that waited would wait for ever


def test_a_change_of_state_that_could_not_be_told_is_told_with_the_next_call(
    manager: Manager, service: ServiceManager
) -> None:
    count = fill(service, manager)
    service.reloading()
    service.ready("reloaded")
    assert [told.partition("\n")[0] for told in manager.heard()] == ["WATCHDOG=1"] * count

    service.alive()

    assert [told.partition("\n")[0] for told in manager.heard()] == ["RELOADING=1", "READY=1", "WATCHDOG=1"]


def test_the_next_status_tells_what_was_left_too(manager: Manager, service: ServiceManager) -> None:
    fill(service, manager)
    service.ready("up")
    manager.heard()

    service.status("up")

    assert manager.heard() == ["READY=1\nSTATUS=up"]


def test_a_manager_that_never_reads_costs_no_memory(manager: Manager, service: ServiceManager) -> None:
    fill(service, manager)

    for n in range(100):
        service.ready(str(n))
    manager.heard()
    service.alive()

    assert len(manager.heard()) == UNSENT_LIMIT + 1


# --- watchdog


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "١٢"}, None),
        ({"WATCHDOG_PID": str(os.getpid())}, None),
    ],
)
def test_the_watchdog_is_served_where_it_is_wanted_of_this_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(environ) == seconds


def test_more_time_is_asked_for_in_microseconds(manager: Manager, service: ServiceManager) -> None:
    service.need(2.5)

    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=2500000"]


def test_the_last_word_is_a_status(manager: Manager, service: ServiceManager) -> None:
    service.stopping("stopping: closing connections")
    service.stopped()

    assert manager.heard()[1:] == ["STATUS=stopped"]
