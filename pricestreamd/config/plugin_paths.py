"""Whether folders of the user's functions can be trusted: only root and who runs the daemon may put code into them.

A group of which the owner is the only member, as many systems give one to each user, is nobody else.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from pathlib import Path

from pricestreamd.config.findings import Findings
from pricestreamd.config.settings import Settings

_ROOT = 0
# As whom the service runs: root may check its configuration for it.
_SERVICE = "price-stream"


def check_plugin_paths(settings: Settings) -> Findings:
    """A fault for each of `plugin_paths` to which others may write. One that is not there is told of by its import."""
    found = Findings()
    for index, folder in enumerate(settings.plugin_paths):
        try:
            about = folder.stat()
        except OSError:
            continue
        if fault := _fault(folder, about):
            found.fault(("plugin_paths", index), fault)
    return found


def _fault(folder: Path, about: os.stat_result) -> str | None:
    if about.st_uid not in _owners():
        return f"{folder} belongs to {_name(about.st_uid)}, who could change the code in it: chown it"
    shared = about.st_mode & stat.S_IWGRP and not _is_private(about.st_gid, about.st_uid)
    if shared or about.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(about.st_mode)
        return f"others may put code into {folder} (mode {mode:04o}): chmod go-w"
    return None


def _owners() -> set[int]:
    """Root, and who runs this; for root the service's user, too."""
    owners = {_ROOT, os.geteuid()}
    if os.geteuid() == _ROOT:
        with contextlib.suppress(KeyError):
            owners.add(pwd.getpwnam(_SERVICE).pw_uid)
    return owners


def _is_private(group: int, owner: int) -> bool:
    """Whether nobody but the owner is in the group."""
    try:
        user, others = pwd.getpwuid(owner), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and user.pw_name == others.gr_name and set(others.gr_mem) <= {user.pw_name}


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
