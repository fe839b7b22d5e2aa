"""The functions that a configuration wants to be called: found and imported before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from pricestreamd.config.load import Loaded
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.dispatch.listener import ListenerId
from pricestreamd.dispatch.settings import ListenerSettings
from pricestreamd.model.errors import ConfigError
from pricestreamd.sinks.function import FunctionError, find_function

Function = Callable[[Any], Any]


class Listeners:
    """The functions of the configured listeners, attached to `dispatcher`."""

    def __init__(self, dispatcher: EventDispatcher) -> None:
        self._dispatcher = dispatcher
        self._attached: list[tuple[ListenerSettings, ListenerId]] = []

    def apply(self, settings: Sequence[ListenerSettings], functions: Sequence[Function]) -> None:
        """Have `functions` listen by their `settings`, and no others. One that listens already goes on undisturbed."""
        before = self._attached
        self._attached = []
        for listener, function in zip(settings, functions, strict=True):
            known = next((one for one in before if one[0] == listener), None)
            if known is not None:
                before.remove(known)
                self._attached.append(known)
                continue
            heard = self._dispatcher.attach(listener.event, function, name=listener.call, priority=listener.priority)
            self._attached.append((listener, heard))
        for _, heard in before:
            self._dispatcher.off(heard)


def listener_functions(loaded: Loaded) -> list[Function]:
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
