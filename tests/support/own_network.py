"""A network of a test's own, with what no test may do to the machine's: names, a dead name server, an IPv6 black hole.

Made of the kernel's namespaces, so it lasts as long as the program in it, and nothing outside changes:

- `both.test` has two addresses: an IPv6 one whose packets vanish, and 127.0.0.1; `hole.test` has only the first.
- Every other name is asked of a name server whose packets vanish, too: a lookup ends when the system gives up, and with
  its usual settings that takes ten seconds.

Addresses vanish like this: they are neighbours on a cable, and the far end of the cable is not the machine whose
hardware address they are said to have. So there is silence, and not one ICMP message.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

_NOBODY = "02:00:00:00:00:01"
_SCRIPT = f"""\
set -e
ip link set lo up
ip link add out type veth peer name nowhere
ip link set nowhere up
ip link set out up
ip addr add 192.0.2.2/24 dev out
ip addr add 2001:db8::2/64 dev out nodad
ip neigh add 192.0.2.53 lladdr {_NOBODY} dev out nud permanent
ip -6 neigh add 2001:db8::1 lladdr {_NOBODY} dev out nud permanent
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
shift
exec "$@"
"""
_HOSTS = """\
127.0.0.1 localhost
2001:db8::1 both.test
127.0.0.1 both.test
2001:db8::1 hole.test
"""


def own_network(folder: Path) -> list[str]:
    """What to put before a command so that it runs in such a network; `folder` is for its files.

    Skips the test where the system does not let us.
    """
    (folder / "hosts").write_text(_HOSTS)
    (folder / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    missing = [tool for tool in ("unshare", "ip", "mount") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"a network of one's own needs {', '.join(missing)}")
    entered = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", _SCRIPT, "network", str(folder)]
    if (refusal := _refusal(tuple(entered))) is not None:
        pytest.skip(f"the system allows no network of one's own: {refusal}")
    return entered


@cache
def _refusal(entered: tuple[str, ...]) -> str | None:
    tried = subprocess.run([*entered, "true"], capture_output=True, text=True, timeout=20, check=False)
    return None if tried.returncode == 0 else tried.stderr.strip()[-200:]
