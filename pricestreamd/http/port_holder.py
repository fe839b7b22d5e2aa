"""Who holds a port: so that "address in use" comes with a name."""

from __future__ import annotations

import contextlib
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
