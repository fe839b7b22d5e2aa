"""Folders of the user's functions: who may put code into them is trusted, and nobody else may."""

import os
from pathlib import Path

import pytest

from tests.unit.config.conftest import Load, Problems

TEXT = "plugin_paths: [fine, hooks, missing]\n"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """Two folders of our own."""
    for name in ("fine", "hooks"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    return tmp_path / "hooks"


def test_folders_of_our_own_and_those_that_are_not_there_are_fine(load_text: Load, hooks: Path) -> None:
    loaded = load_text(TEXT)
    assert loaded.settings.plugin_paths == tuple(hooks.with_name(name) for name in ("fine", "hooks", "missing"))
    assert loaded.warnings == ()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_that_everybody_may_write_to_is_refused(problems_of: Problems, hooks: Path, mode: int) -> None:
    hooks.chmod(mode)
    assert problems_of(TEXT) == [
        f"c.yaml:1:22: plugin_paths[1]: others may put code into hooks (mode {mode:04o}): chmod go-w"
    ]


@needs_root
def test_a_folder_that_a_group_may_write_to_is_refused(problems_of: Problems, hooks: Path) -> None:
    os.chown(hooks, 0, 4)
    hooks.chmod(0o775)
    assert problems_of(TEXT) == ["c.yaml:1:22: plugin_paths[1]: others may put code into hooks (mode 0775): chmod go-w"]


@needs_root
def test_a_group_of_which_the_owner_is_the_only_member_is_nobody_else(load_text: Load, hooks: Path) -> None:
    os.chown(hooks, 0, 0)
    hooks.chmod(0o775)
    assert load_text(TEXT).warnings == ()


@needs_root
@pytest.mark.parametrize(("owner", "name"), [(1, "daemon"), (54_321, "54321")])
def test_a_folder_of_somebody_else_is_refused(problems_of: Problems, hooks: Path, owner: int, name: str) -> None:
    os.chown(hooks, owner, -1)
    assert problems_of(TEXT) == [
        f"c.yaml:1:22: plugin_paths[1]: hooks belongs to {name}, who could change the code in it: chown it"
    ]
