"""The token that every write needs where none is configured: made at the start, in a file that only its owner reads.

The file is `http-token` in `$RUNTIME_DIRECTORY`, else beside the state. It holds the token and a line end, mode 0600.
It appears whole or not at all, and goes when the daemon stops; one that a killed daemon left behind is written over.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pricestreamd.model.secret import Secret

NAME = "http-token"
# More than anybody guesses: 256 bits, 43 characters.
TOKEN_BYTES = 32
_FOLDER_MODE = 0o750
# A file that is longer holds something else.
_MOST_BYTES = 4096


def token_path(environ: Mapping[str, str], state: Path) -> Path:
    """Where the token of a daemon is, whose environment and file of the state these are."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return (Path(runtime) if runtime else state.absolute().parent) / NAME


def make_token(path: Path) -> Secret:
    """Write a new token to `path`, in the place of an old one. Blocks.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    text = secrets.token_urlsafe(TOKEN_BYTES)
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        # O_EXCL: never through a link that somebody has put there.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{text}\n")
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return Secret(text)


def read_token(path: Path) -> Secret | None:
    """The token in the file; None where there is no such file, or nothing in it. Blocks.

    Raises:
        OSError: it is there and may not be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    text = data.decode("ascii", "replace").strip()
    return Secret(text) if text and text.isprintable() and len(data) <= _MOST_BYTES else None


def remove_token(path: Path, token: Secret) -> None:
    """Remove the file if it still holds `token`: another daemon may have put its own there. Blocks."""
    with contextlib.suppress(OSError):
        if read_token(path) == token:
            path.unlink()
