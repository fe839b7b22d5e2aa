"""Why an address cannot be listened on; a port in use comes with the name of who holds it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

_LISTENING = "0A"


def port_holder(port: int) -> str | None:
    """`name (pid N)` of the process that listens on TCP `port`; None where it cannot be known."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        # A process may end, or belong to somebody else, while we look.
        with contextlib.suppress(OSError):
            if any(str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text(encoding='utf-8').strip()} (pid {process.name})"
    return None


def listen_refusal(listen: str, exc: OSError) -> str:
    """One sentence for a person: `listen` is `host:port` or `unix:/path`, `exc` what the system said."""
    why = str(exc) if isinstance(exc, socket.gaierror) or not exc.errno else os.strerror(exc.errno).lower()
    port = listen.rpartition(":")[2]
    if exc.errno == errno.EADDRINUSE and port.isdecimal():
        # Whose process belongs to somebody else, or is in another sandbox, is hidden from us.
        holder = port_holder(int(port)) or "a process that is hidden from this one (sudo ss -ltnp shows it)"
        why = f"{why}, by {holder}"
    return f"cannot listen on {listen}: {why}"
