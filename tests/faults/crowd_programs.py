"""Clients that mean no good, as processes of their own: thousands that say nothing, and some that say it very slowly.

    python -m tests.faults.crowd_programs idle PORT COUNT    connects COUNT times and says nothing
    python -m tests.faults.crowd_programs slow PORT COUNT    sends a header a letter at a time; cut off, it comes again

Each prints `connected` when all of them have been in. At the end of its input it prints, as JSON, how many are `held`
now, how many were `cut`, and how many the system `refused`.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys
import time

# A second, so that the machine has time for others.
CONNECTS = 2500
LETTER_SECONDS = 0.2
AGAIN_SECONDS = 0.5


class Crowd:
    """Sockets to one port, each with the time at which it was opened."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.open: dict[socket.socket, float] = {}
        self.cut = 0
        self.refused = 0
        self.over = False

    def connect(self) -> None:
        """One more."""
        made = socket.socket()
        made.setblocking(False)
        made.connect_ex(("127.0.0.1", self.port))
        self.open[made] = time.monotonic()
        self.selector.register(made, selectors.EVENT_READ)

    def look(self, seconds: float) -> int:
        """Take what has come within so long; how many were cut off meanwhile."""
        before = self.cut + self.refused
        for key, _ in self.selector.select(seconds):
            if key.fileobj is sys.stdin:
                self.over = True
                continue
            assert isinstance(key.fileobj, socket.socket)
            self._read(key.fileobj)
        return self.cut + self.refused - before

    def _read(self, one: socket.socket) -> None:
        try:
            if one.recv(4096):
                return
            self.cut += 1
        except ConnectionRefusedError:
            self.refused += 1
        except ConnectionError:
            self.cut += 1
        self.selector.unregister(one)
        del self.open[one]
        one.close()

    def come(self, count: int) -> None:
        """So many, at the pace of this module."""
        begun = time.monotonic()
        for number in range(count):
            self.connect()
            due = begun + number / CONNECTS - time.monotonic()
            if due > 0 or number % 64 == 0:
                self.look(max(0.0, due))
        print("connected", flush=True)

    def idle(self, count: int) -> None:
        """Connect and say nothing."""
        self.come(count)
        while not self.over:
            self.look(1.0)

    def slow(self, count: int) -> None:
        """Say it very slowly, and come again."""
        self.come(count)
        owed: list[float] = []
        letter = time.monotonic()
        while not self.over:
            now = time.monotonic()
            owed += [now + AGAIN_SECONDS] * self.look(0.02)
            while owed and owed[0] <= now:
                del owed[0]
                self.connect()
            if now >= letter:
                letter = now + LETTER_SECONDS
                self._say_a_letter(now)

    def _say_a_letter(self, now: float) -> None:
        text = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000
        for one, begun in list(self.open.items()):
            at = int((now - begun) / LETTER_SECONDS)
            try:
                one.send(text[at : at + 1])
            except OSError:
                # It is not open yet, or not any more: `look` tells which.
                continue


def main() -> None:
    """Run one of the two."""
    kind, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(port)
    {"idle": crowd.idle, "slow": crowd.slow}[kind](count)
    print(json.dumps({"held": len(crowd.open), "cut": crowd.cut, "refused": crowd.refused}), flush=True)


if __name__ == "__main__":
    main()
