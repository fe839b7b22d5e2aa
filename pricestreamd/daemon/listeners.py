"""The functions that a configuration wants to be called: found and imported before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pricestreamd.config.load import Loaded
from pricestreamd.model.errors import ConfigError
from pricestreamd.sinks.function import FunctionError, find_function


def listener_functions(loaded: Loaded) -> list[Callable[[Any], Any]]:
    """The functions of the configured listeners, in order; `plugin_paths` lead to them from now on.

    Raises:
        ConfigError: names each that cannot be imported or called.
    """
    for folder in reversed(loaded.settings.plugin_paths):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    functions, problems = [], []
    for index, listener in enumerate(loaded.settings.listeners):
        try:
            functions.append(find_function(listener.call))
        except FunctionError as exc:
            problems.append(loaded.problem(f"listeners[{index}].call", str(exc)))
    if problems:
        raise ConfigError(*problems)
    return functions
