"""A throw-away machine whose PID 1 is a real systemd, for tests of what only a service manager does.

It is this machine's file system under an overlay in memory, with its own processes, network (a loopback and nothing
else), host name and cgroups; the kernel is shared. systemd-nspawn makes it where it is installed, else unshare does.
Nothing outside changes, and it powers itself off if it is forgotten. What was learned on the way is beside each line.

    with Machine.booted() as machine:
        machine.run("systemctl", "start", "price-stream")
        machine.until(lambda: machine.show("price-stream", "ActiveState") == {"ActiveState": "active"})
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

CHECKOUT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
BOOT_SECONDS = 60
OFF_SECONDS = 20
# Longer than any run of the tests: then it ends by itself.
LIFE_SECONDS = 1200
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MASKED = (
    *("systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service", "systemd-udevd.service"),
    *("systemd-modules-load.service", "systemd-sysctl.service", "systemd-logind.service", "modprobe@.service"),
    *("console-getty.service", "getty@tty1.service", "getty.target"),
    *("sys-fs-fuse-connections.mount", "dev-hugepages.mount"),
)
_TRIED = """\
mount -t tmpfs t /mnt; cd /mnt; mkdir u w m; mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w m
mount -t proc p m/proc; mount -t cgroup2 c m/mnt
"""
# Without nspawn: what it would have mounted. /proc/sys is read-only, as the kernel is shared.
_ROOT = """\
mount -t proc -o nosuid,nodev,noexec proc $M/proc
for n in sys sysrq-trigger irq bus fs; do
    if [ -e $M/proc/$n ]; then mount --bind $M/proc/$n $M/proc/$n; mount -o remount,bind,ro $M/proc/$n; fi
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs $M/sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 $M/sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs $M/run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $M/tmp
mount -t tmpfs -o mode=755,nosuid tmpfs $M/dev
for n in null zero full random urandom tty; do touch $M/dev/$n; mount --bind /dev/$n $M/dev/$n; done
mkdir $M/dev/pts $M/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts $M/dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $M/dev/shm
ln -s pts/ptmx $M/dev/ptmx; ln -s /proc/self/fd $M/dev/fd
for i in 0:stdin 1:stdout 2:stderr; do ln -s fd/${i%:*} $M/dev/${i#*:}; done
hostname $NAME; cd $M; mkdir .old; pivot_root . .old; umount -l /.old; rmdir /.old
# systemd hands credentials over by propagation: without this their folder is empty.
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=other TERM=dumb \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog,-wake_alarm,-block_suspend -- \
    /lib/systemd/systemd --unit=multi-user.target
"""

_T = TypeVar("_T")


def cgroup2() -> Path | None:
    """Where the second version of the control groups is mounted."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)


def why_not() -> str | None:
    """Why no systemd can be booted here; None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "not Linux" if sys.platform != "linux" else "not root"
    groups = cgroup2()
    if groups is None or not os.access(groups / "cgroup.procs", os.W_OK):
        return "no cgroup2 hierarchy is mounted" if groups is None else f"{groups} is not writable"
    tools = [str(SYSTEMD), "unshare", "nsenter", "setpriv"]
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        return f"{', '.join(missing)} is missing (systemd, util-linux)"
    entered = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup"]
    tried = subprocess.run([*entered, "sh", "-ec", _TRIED], capture_output=True, text=True, timeout=20, check=False)
    return None if tried.returncode == 0 else f"the system refuses the mounts: {tried.stderr.strip()[-200:]}"


def require() -> None:
    """Skip the test, with the reason, where no systemd can be booted; fail where one has to be."""
    reason = why_not()
    if reason is not None:
        told = f"no systemd can be booted here: {reason}"
        if "1" in (os.environ.get("PRICESTREAM_REQUIRE_SYSTEMD"), os.environ.get("PRICESTREAM_NO_SKIPS")):
            pytest.fail(told)
        pytest.skip(told)


class Machine:
    """One booted systemd."""

    def __init__(self, name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._folder = folder
        self._process = process
        self.leader = 0

    @classmethod
    @contextlib.contextmanager
    def booted(cls, folder: Path) -> Iterator[Self]:
        """Boot one whose files are kept below `folder`, and power it off at the end."""
        name = f"price-{uuid.uuid4().hex[:8]}"
        with (folder / "console.log").open("wb") as console:
            # A session of its own: Ctrl-C is for the tests, which power it off.
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.booted", "enter", name, str(folder)],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        machine = cls(name, folder, process)
        try:
            machine._await_boot()
            yield machine
        finally:
            machine._power_off()

    @property
    def root(self) -> Path:
        """Its file system, as seen from outside."""
        return Path(f"/proc/{self.leader}/root")

    def run(
        self, *command: str | Path, check: bool = True, timeout: float = 60, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, and wait for its end; `check`: it must succeed.

        What is to stay runs by systemd-run: a process that is left behind here would hold up the end.
        """
        inside = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", "--"]
        variables = {"PATH": _PATH, "LANG": "C.UTF-8", "TERM": "dumb", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        given = [f"{name}={value}" for name, value in (variables | environ).items()]
        done = subprocess.run(
            [*inside, "/usr/bin/env", "-i", *given, *map(str, command)],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, all of one moment."""
        shown = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.partition("=")[::2] for line in shown.splitlines())

    def journal(self, unit: str, after: str = "") -> list[dict[str, Any]]:
        """What the journal has of a unit, whole; `after` a cursor: what came since."""
        since = [f"--after-cursor={after}"] if after else []
        # Without --all, fields over 4096 bytes are null.
        read = self.run("journalctl", "--unit", unit, "--output=json", "--all", "--no-pager", *since).stdout
        return [json.loads(line) for line in read.splitlines()]

    def cursor(self) -> str:
        """Where the journal ends now."""
        self.run("journalctl", "--sync")
        last = self.run("journalctl", "--lines=1", "--output=json", "--no-pager").stdout
        return str(json.loads(last)["__CURSOR"])

    def until(self, condition: Callable[[], _T], timeout: float = 15, message: str = "") -> _T:
        """What `condition()` returns as soon as it is true."""
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {timeout} s: {message or condition}"
            time.sleep(0.08)
        return found

    # --- its beginning and its end

    def _await_boot(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        state = "nothing"
        while state not in ("running", "degraded"):
            ended = self._process.poll()
            assert ended is None and time.monotonic() < deadline, f"{state} ({ended}): {self._console()}"
            time.sleep(0.03)
            self.leader = self._find_leader()
            if self.leader:
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def _find_leader(self) -> int:
        """The first process of the machine, as seen from outside; 0: there is none.

        Not each child is it: while the root is made, there are some that live for a moment.
        """
        process = self._process.pid
        children: list[str] = []
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        there = (child for child in children if Path(f"/proc/{child}/root/run/systemd/private").exists())
        found = next((child for child in there if _hostname(child) == self.name), "0")
        return int(found)

    def _console(self) -> str:
        return (self._folder / "console.log").read_text(errors="replace")[-2000:]

    def _power_off(self) -> None:
        # Looked for again: a number that has become another process's must not get the signal.
        if leader := self._find_leader():
            with contextlib.suppress(ProcessLookupError):
                # How systemd is asked for poweroff.target.
                os.kill(leader, signal.SIGRTMIN + 4)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(OFF_SECONDS)
        groups = cgroup2()
        assert groups is not None
        own = groups / self.name
        if self._process.poll() is None:
            # Whatever is left is in its own control group, and nothing else is.
            with contextlib.suppress(OSError):
                (own / "cgroup.kill").write_text("1")
            self._process.kill()
            self._process.wait(OFF_SECONDS)
            # Those that are killed take a moment to be gone.
            self.until(lambda: "populated 0" in (own / "cgroup.events").read_text(), OFF_SECONDS)
        # nspawn leaves groups in a hierarchy of the first version, too, where one is mounted.
        for group in (own, Path("/sys/fs/cgroup/systemd") / self.name):
            if group.is_dir():
                for folder in sorted(group.glob("**/"), reverse=True):
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def _hostname(process: str) -> str:
    """The name in the file system of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/root/etc/hostname").read_text().strip()
    return ""


# --- what runs as the parent of the new systemd


def enter(name: str) -> None:
    """Go into a control group and a mount namespace of our own, and begin again there, at `become`."""
    groups = cgroup2()
    assert groups is not None
    (groups / name).mkdir()
    # The new systemd owns this part of the tree, and no other process in it.
    (groups / name / "cgroup.procs").write_text(str(os.getpid()))
    again = [sys.executable, "-m", "tests.support.booted", "become", *sys.argv[2:]]
    os.execvp("unshare", ["unshare", "--mount", "--propagation=private", "--", *again])


def _overlay(folder: Path) -> Path:
    """The machine's root: this machine's under a layer in memory."""
    layers = folder / "layers"
    layers.mkdir()
    _mount("-t", "tmpfs", "-o", "mode=755", "price-stream-test", str(layers))
    upper, work, merged = layers / "upper", layers / "work", layers / "root"
    for place in (upper, work, merged):
        place.mkdir()
    _mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", str(merged))
    return merged


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _quieten(root: Path, name: str) -> None:
    """Nothing of this machine's own is started; what is left boots in a third of a second."""
    etc, system = root / "etc", root / "etc/systemd/system"
    # An empty one would mean a first boot, which enables every service that is installed.
    _write(etc / "machine-id", f"{uuid.uuid4().hex}\n")
    _write(etc / "hostname", f"{name}\n")
    (etc / "fstab").unlink(missing_ok=True)
    for links in (*system.glob("*.wants"), *system.glob("*.requires")):
        shutil.rmtree(links)
    generators = etc / "systemd/system-generators"
    for folder in (root / "lib/systemd/system-generators", root / "usr/local/lib/systemd/system-generators"):
        for generator in folder.glob("*"):
            _mask(generators / generator.name)
    for unit in _MASKED:
        _mask(system / unit)
    _write(etc / "systemd/journald.conf.d/50-test.conf", "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n")
    # A process that does not end holds up the poweroff no longer than this.
    _write(etc / "systemd/system.conf.d/50-test.conf", "[Manager]\nDefaultTimeoutStopSec=10s\n")
    _write(system / "end-of-test.timer", f"[Timer]\nOnStartupSec={LIFE_SECONDS}\nAccuracySec=1s\n")
    _write(
        system / "end-of-test.service",
        "[Unit]\nSuccessAction=poweroff-force\n[Service]\nType=oneshot\nExecStart=/bin/true\n",
    )
    wants = system / "multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "end-of-test.timer").symlink_to("../end-of-test.timer")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not through what is a link to some other place.
    path.unlink(missing_ok=True)
    path.write_text(text)


def _mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/null")


def become(name: str, folder: Path) -> None:
    """Make its root, and execute what runs the new systemd."""
    root = _overlay(folder)
    _quieten(root, name)
    if shutil.which("systemd-nspawn") and os.environ.get("PRICESTREAM_BOOT") != "unshare":
        # It is to see the second version of control groups only, even where this machine has both.
        os.environ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
        options = [f"--directory={root}", f"--machine={name}", "--boot", "--quiet", "--private-network"]
        # There may be no systemd outside to register with; --console=pipe would print nothing.
        options += ["--register=no", "--keep-unit", "--console=read-only", "--link-journal=no"]
        options += ["--resolv-conf=off", "--timezone=off"]
        # For IPAddressDeny= and KeyringMode=.
        options += ["--capability=CAP_BPF,CAP_PERFMON", "--system-call-filter=bpf @keyring"]
        os.execvp("systemd-nspawn", ["systemd-nspawn", *options, "--", "--unit=multi-user.target"])
    os.environ |= {"M": str(root), "NAME": name}
    unshared = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL"]
    unshared += ["--uts", "--ipc", "--cgroup", "--net"]
    os.execvp("unshare", ["unshare", *unshared, "--", "sh", "-ec", _ROOT])


if __name__ == "__main__":
    if sys.argv[1] == "enter":
        enter(sys.argv[2])
    become(sys.argv[2], Path(sys.argv[3]))
