"""Finds the functions that a configuration names: `package.module:callable`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any

from pricestreamd.model.errors import PriceStreamError
from pricestreamd.sinks.bearable import described, is_main_thread

_MAX_REASON = 300


class FunctionError(PriceStreamError):
    """What should be called cannot be imported, or is no function."""


def find_function(text: str) -> Callable[[Any], Any]:
    """The function at `text`; its module is imported.

    Raises:
        FunctionError: it says what is wrong with it.
    """
    module, _, name = text.partition(":")
    try:
        found = attrgetter(name)(import_module(module))
    except BaseException as exc:  # somebody else's module: whatever it raises, it is told of
        if isinstance(exc, KeyboardInterrupt) and is_main_thread():
            raise  # a person at the terminal
        raise FunctionError(f"{text} cannot be imported: {described(exc, _MAX_REASON)}") from exc
    if not callable(found):
        raise FunctionError(f"{text} is no function but {type(found).__name__}")
    function: Callable[[Any], Any] = found
    return function
