"""Files that a command writes: whole at the end, or as they were."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pricestreamd.cli.words import UsageError

# Here are no files but doors to something else: /dev/stdout, /dev/fd/3.
_DOORS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


@contextmanager
def replaced(name: str, inputs: Sequence[str]) -> Iterator[BinaryIO]:
    """What is written here becomes the file `name` if all goes well; otherwise `name` stays as it was.

    A pipe or a device is written to as one goes. Links are followed; the mode of a file that is there is kept.

    Raises:
        UsageError: nothing can be written there, or it is one of `inputs`.
    """
    path = Path(name)
    try:
        known = path.stat()
    except FileNotFoundError:
        known = None
    except OSError as exc:
        raise UsageError(f"cannot write {name}: {exc.strerror}") from exc
    if known is not None and any(_same(known, file) for file in inputs):
        raise UsageError(f"{name} is one of the files to be read: name another one for the output")
    if known is not None and stat.S_ISDIR(known.st_mode):
        raise UsageError(f"{name} is a folder: name a file in it")
    if known is not None and not os.access(path, os.W_OK):
        raise UsageError(f"cannot write {name}: it may not be written to")
    if path.parent in _DOORS or (known is not None and not stat.S_ISREG(known.st_mode)):
        with path.open("wb") as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        file = draft.open("xb")
    except OSError as exc:
        raise UsageError(f"cannot write {name}: folder {target.parent}: {exc.strerror}") from exc
    try:
        with file:
            if known is not None:
                draft.chmod(stat.S_IMODE(known.st_mode))
            yield file
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _same(known: os.stat_result, file: str) -> bool:
    try:
        return os.path.samestat(known, Path(file).stat())
    except OSError:
        return False
