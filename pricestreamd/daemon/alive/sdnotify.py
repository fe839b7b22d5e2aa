"""Tells the service manager how we are: ready, reloading, stopping, a line of status, alive.

A thin shell over the `sdnotify` package, which has these traps: its socket blocks (a manager that does not read would
stop the stream), it swallows what was not sent (a lost READY=1 is a failed start), and it encodes in Latin-1 (a status
with any other letter is lost). So the socket is non-blocking, a change of state that could not be sent is sent with the
next call, and texts go as UTF-8. Without `$NOTIFY_SOCKET` (a terminal, supervisor, a container) nothing happens.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping

import sdnotify

from pricestreamd.model.secret import redact

STATUS_SECONDS = 5.0
STATUS_LIMIT = 300  # characters: it is read in one line of `systemctl status`
# Changes of state that could not be sent yet. More than a few means that nobody reads any more.
UNSENT_LIMIT = 8
# Two pings may be lost before the manager acts.
PINGS_PER_PERIOD = 3


class ServiceManager:
    """The service manager, as far as it listens. `environ` is that of the process: the package reads it, too."""

    def __init__(self, environ: Mapping[str, str] = os.environ, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notifier = connect() if environ.get("NOTIFY_SOCKET") else None
        self.watchdog_seconds = watchdog_seconds(environ) if self._notifier else None
        self._unsent: deque[str] = deque(maxlen=UNSENT_LIMIT)
        self._status = ""
        self._status_at = -STATUS_SECONDS
        self._last = ""

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell."""
        return self._notifier is not None

    def ready(self, status: str) -> None:
        """Started, or done with reloading."""
        self._change("READY=1", status)

    def reloaded(self, what: str) -> None:
        """Done with reloading: `what` came of it, and how the daemon was before, for it has not stopped."""
        self.ready(f"{what}; {self._last}" if self._last else what)

    def reloading(self, status: str = "reloading the configuration") -> None:
        """A reload begins; `ready` must follow, whatever comes of it."""
        self._change(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", status)

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._change("STOPPING=1", status)

    def status(self, text: str, *, changed: bool = False) -> None:
        """Show `text`, at most every 5 s unless the state has `changed`; the same text is not sent twice."""
        self._flush()
        self._last = text = one_line(text)
        now = self._clock()
        if text == self._status or not (changed or now - self._status_at >= STATUS_SECONDS):
            return
        if self._send(f"STATUS={text}"):
            self._status, self._status_at = text, now

    def alive(self) -> None:
        """Ping the watchdog."""
        self._flush()
        self._send("WATCHDOG=1")

    def stopped(self) -> None:
        """Nothing is left to do."""
        self.status("stopped", changed=True)

    def need(self, seconds: float) -> None:
        """Ask for so many seconds more than may pass otherwise before a start or a stop is broken off."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def close(self) -> None:
        """Let go of the socket."""
        if self._notifier is not None:
            self._notifier.socket.close()
            self._notifier = None

    def _change(self, state: str, status: str) -> None:
        """State and status in one datagram, so that nobody sees one without the other."""
        self._status, self._status_at = one_line(status), self._clock()
        self._unsent.append(f"{state}\nSTATUS={self._status}")
        self._flush()

    def _flush(self) -> None:
        while self._unsent and self._send(self._unsent[0]):
            self._unsent.popleft()

    def _send(self, state: str) -> bool:
        """Whether the manager has taken it, or nobody ever will."""
        if self._notifier is None:
            return True
        try:
            self._notifier.notify(state.encode().decode("latin-1"))
        except BlockingIOError:
            return False
        except OSError:  # the manager is gone, or starts anew
            return True
        return True


def connect() -> sdnotify.SystemdNotifier | None:
    """The package's notifier, made non-blocking and honest; None where the socket cannot be reached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it forgets to close a socket that does not connect
        notifier = sdnotify.SystemdNotifier()
    if notifier.socket is None:
        return None
    notifier.socket.settimeout(0)
    notifier.debug = True  # raise what could not be sent
    return notifier


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The period in which the manager wants a sign of life; None where it wants none, or not from this process."""
    period, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
    if not period.isascii() or not period.isdigit() or process != str(os.getpid()):
        return None
    return int(period) / 1e6 or None


def one_line(text: str) -> str:
    """`text` as a status: a line break would be read as another field of the datagram."""
    clean = "".join(letter if letter.isprintable() else " " for letter in redact(text))
    return clean.encode("utf-8", "replace").decode()[:STATUS_LIMIT]
