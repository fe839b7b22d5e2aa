"""The one error of replay: a file of the past cannot be read, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from pricestreamd.model.errors import PriceStreamError


class ReplayInputError(PriceStreamError):
    """A recorded file cannot be used. `line` counts from 1; 0 where the fault is the file's as a whole."""

    def __init__(self, path: Path, message: str, *, line: int = 0) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
