"""Installed distributions for tests: a folder that Python's packaging machinery takes for one."""

from __future__ import annotations

from pathlib import Path

from pricestreamd.providers.catalogue import ENTRY_POINTS


def install(
    folder: Path, point: str, value: str, *, distribution: str | None = None, group: str = ENTRY_POINTS, **modules: str
) -> None:
    """A `distribution` in `folder` whose entry point `point` of `group` is `value`, and its `modules`.

    Without a name it is `acme-<point>`; without a group the entry point is a provider.
    """
    name = distribution or f"acme-{point}"
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{point} = {value}\n")
    for module, code in modules.items():
        (folder / f"{module}.py").write_text(code)
