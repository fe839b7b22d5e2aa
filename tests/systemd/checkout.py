"""The project's own way onto a machine: a checkout and a folder of wheels inside it, and `make` as the document says."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.booted import CHECKOUT, Machine

PARTS = ("config", "deploy", "docs", "pricestreamd", "requirements", "tools")
FILES = ("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml")
DOCUMENT = CHECKOUT / "docs" / "install.md"
# Inside the machine.
SOURCE = Path("/srv/price-stream")
NEXT = Path("/srv/price-stream-next")
WHEELS = Path("/srv/wheels")
CURRENT = Path("/opt/price-stream/current")
NEXT_VERSION = "99.0.0"


def wheels(config: pytest.Config) -> Path:
    """A folder with all that an installation needs, fetched once for each lock by `deploy/install.sh wheels`."""
    locks = [CHECKOUT / "requirements" / name for name in ("build.txt", "runtime.txt")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    folder = config.cache.mkdir("wheels") / digest
    if not folder.exists():
        draft = folder.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        fetched = subprocess.run(
            [CHECKOUT / "deploy" / "install.sh", "wheels", draft], capture_output=True, text=True, check=False
        )
        assert fetched.returncode == 0, fetched.stdout + fetched.stderr
        draft.rename(folder)
    return folder


def put(machine: Machine, place: Path, version: str | None = None) -> None:
    """Copy what an installation reads of the checkout into the machine; `version`: it says that it is that one."""
    target = machine.root / place.relative_to("/")
    for part in PARTS:
        shutil.copytree(CHECKOUT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(CHECKOUT / name, target / name)
    if version is not None:
        project = target / "pyproject.toml"
        lines = project.read_text().splitlines()
        lines[next(index for index, line in enumerate(lines) if line.startswith("version = "))] = (
            f'version = "{version}"'
        )
        project.write_text("\n".join(lines))


def make(
    machine: Machine, verb: str, *, source: Path = SOURCE, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb of the Makefile inside, as docs/install.md has it."""
    assert f"$ sudo make {verb}" in DOCUMENT.read_text(), f"docs/install.md does not name `make {verb}`"
    given = [f"{name}={value}" for name, value in ({"WHEELS": str(WHEELS)} | variables).items()]
    return machine.run("make", "-C", source, verb, *given, check=check, timeout=120)


def release(machine: Machine) -> str:
    """The release in force."""
    return (machine.root / CURRENT.relative_to("/")).readlink().name


def uninstalled(machine: Machine) -> bool:
    """Whether nothing is installed."""
    return not (machine.root / CURRENT.relative_to("/")).is_symlink()
