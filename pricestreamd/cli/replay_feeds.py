"""What the feeds of a configuration tell a replay, which connects to none: how frames are read, and market hours."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pricestreamd.config.load import find_config, load
from pricestreamd.config.service_places import service_environ
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import redact
from pricestreamd.providers.description import Description

# No configuration is longer.
_CONFIG_BYTES = 1 << 20


class ConfiguredFeeds:
    """The feeds of the configuration at `path`, or of the one that is found; read when they are first asked for."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    @cached_property
    def _read(self) -> Mapping[str, FeedSettings] | ConfigError:
        try:
            path = find_config(self._path, os.environ)
        except ConfigError:
            return {}
        # Neither protocols nor hours hang on a key, so one that the environment lacks does not matter.
        environ = _placeholders(path) | dict(service_environ(path, os.environ))
        try:
            return load(path, environ=environ, sections=("feeds",), feeds_required=False).settings.feeds
        except ConfigError as exc:
            return exc

    def market_hours(self, *, needed: bool) -> Mapping[str, FeedSettings]:
        """All of them, for their market hours; `needed`: something hangs on these."""
        return self._known("market hours" if needed else None)

    @cached_property
    def described(self) -> Mapping[str, FeedSettings]:
        """Those that describe their protocol."""
        feeds = self._known("how frames are read")
        return {name: feed for name, feed in feeds.items() if feed.description is not None}

    def _known(self, needed_for: str | None) -> Mapping[str, FeedSettings]:
        """All of them; where they cannot be read, none, and a warning if they are needed for something."""
        if not isinstance(self._read, ConfigError):
            return self._read
        if needed_for is not None:
            told = f"warning: {self._read.problems[0]}; so no feed there tells {needed_for}"
            print(redact(told), file=sys.stderr)
        return {}

    def description(self, feed: str) -> Description | None:
        """How the frames of `feed` are read, if the configuration describes it."""
        return self.described[feed].description if feed in self.described else None


def _placeholders(path: Path) -> dict[str, str]:
    """A text for each name of the environment that a configuration cannot do without."""
    with suppress(OSError), path.open("rb") as file:
        names = re.findall(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", file.read(_CONFIG_BYTES))
        return {name.decode(): "unset" for name in names}
    return {}
