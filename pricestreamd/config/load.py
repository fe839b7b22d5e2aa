"""Loads a configuration: one file in, settings out, or every problem of it in the order of the file.

    bytes -> yaml_text (data with places) -> secret files -> validate (settings) + rules + alerts
          -> built (what is ignored)

Each step goes on past faults that leave something to look at, so that one run tells them all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pricestreamd.config.alert_tests import check_alert_tests
from pricestreamd.config.alerts import check_alerts, read_alerts
from pricestreamd.config.built import not_built
from pricestreamd.config.capacity import beyond_capacity
from pricestreamd.config.environment import DEFAULT_PROPOSED
from pricestreamd.config.feeds import check_feeds
from pricestreamd.config.findings import Findings
from pricestreamd.config.plugin_paths import check_plugin_paths
from pricestreamd.config.plugins import admit_plugins
from pricestreamd.config.readable import readable
from pricestreamd.config.rules import check_rules
from pricestreamd.config.scalars import Scalar, names_in
from pricestreamd.config.secret_files import literal_secrets, read_secret_files, secret_places
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import settings_of
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.config.yaml_text import MAX_BYTES, Document, Fault, Location, YamlError, dotted, read_yaml
from pricestreamd.feeds.silence.hours import calendar_warning
from pricestreamd.model.errors import ConfigError, Problem
from pricestreamd.stream.alert_rule import AlertRule

SYSTEM = Path("/etc/price-stream/config.yaml")
LOCAL = Path("config/price-stream.yaml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, what to tell its author all the same, and the file it is from.

    `alert_rules` are those of `settings.alerts`. `inherited` names what the file takes from the environment.
    """

    settings: Settings
    warnings: tuple[Problem, ...]
    path: Path
    document: Document = field(repr=False, compare=False)
    alert_rules: tuple[AlertRule, ...] = ()
    inherited: tuple[str, ...] = ()

    def problem(self, key: str, message: str) -> Problem:
        """A problem with the place of `key` (`alerts[0].symbol`): for what only shows when the settings are used."""
        places = self.document.values
        location = next((place for place in places if dotted(place) == key), ())
        return self.document.problem(str(self.path), Fault(location, message))


def find_config(
    explicit: str | Path | None, environ: Mapping[str, str], *, system: Path = SYSTEM, local: Path = LOCAL
) -> Path:
    """The file to load: `explicit` (whether it exists or not), else the first that is there.

    systemd names its configuration folder in `$CONFIGURATION_DIRECTORY`; for a system service that is the folder of
    `system`.

    Raises:
        ConfigError: there is none; it says where one was looked for.
    """
    if explicit is not None:
        return Path(explicit)
    folder = environ.get("CONFIGURATION_DIRECTORY", "").partition(":")[0]
    candidates = list(dict.fromkeys([*([Path(folder) / system.name] if folder else []), system, local]))
    for candidate in candidates:
        try:
            if candidate.is_file():
                return candidate
        except PermissionError:  # its folder may not be entered; whoever reads it says so
            return candidate
    looked = " nor ".join(map(str, candidates))
    message = f"there is no configuration, neither {looked}; name one with --config, or begin with config/minimal.yaml"
    raise ConfigError(Problem(str(candidates[0]), 0, 0, "", message))


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where relative paths begin of what is written; it need not exist."""
    if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: a relative one is to be ignored
        home = environ.get("HOME")
        base = (Path(home) if home else Path.home()) / ".local" / "state"
    return base / "price-stream"


def load(
    path: str | Path,
    *,
    environ: Mapping[str, str],
    feeds_required: bool = True,
    sections: Collection[str] | None = None,
) -> Loaded:
    """Read and check the file at `path`. Connects to nothing, writes nothing.

    `sections`: those that the caller has a use for; None is all. What is wrong with the others is no fault then (a
    name that the environment lacks, a secret's file that is elsewhere): their settings are the defaults.

    Raises:
        ConfigError: all its problems, and its warnings, each in the order of the file.
    """
    path = Path(path)
    name = str(path)
    try:
        document = read_yaml(_content(path), environ)
    except YamlError as error:
        raise ConfigError(Problem(name, error.place.line, error.place.column, "", error.message)) from None
    if isinstance(document.data, Scalar) and document.data.value is None:
        document.data = {}  # comments only
    folders = Folders(read=Path(os.path.abspath(path)).parent, written=state_directory(environ))  # noqa: PTH100 - resolve() would follow a link away from the files beside it
    ignored = frozenset() if sections is None else settings_of(Settings).keys() - set(sections)
    data = document.data
    if ignored and isinstance(data, Mapping):
        data = {key: value for key, value in data.items() if key not in ignored}
    inherited = tuple(dict.fromkeys(names_in(data)))
    plugin_faults = admit_plugins(data)
    secret_faults, warnings = read_secret_files(data, folders.read)
    settings, faults = build(Settings, data, folders)
    rules = check_rules(document, name, folders, feeds_required=feeds_required, feeds_used="feeds" not in ignored)
    alerts, alert_faults = read_alerts(document, name, folders)
    known = (
        readable(data, [where for _, where, _ in document.faults], folders) if settings is None else (data, settings)
    )
    feeds = check_feeds(known[1]) if known is not None else Findings()
    asked = check_alerts(known[1], time.time()) if known is not None else Findings()
    tests = check_alert_tests(known[0], known[1], alerts) if known is not None else Findings()
    folders_of_code = check_plugin_paths(known[1]) if known is not None else Findings()
    further = [*alert_faults, *feeds.faults, *asked.faults, *tests.faults, *folders_of_code.faults]
    # Of a sink that cannot be used more would be said: that there is no such type.
    broken = {fault.location for fault in plugin_faults}
    faults = [*plugin_faults, *(fault for fault in faults if fault.location not in broken)]
    faults = _worth_saying([*secret_faults, *faults, *rules.faults], further)
    problems = [document.problem(name, fault) for fault in faults if not _within(ignored, fault.location)]
    problems += [
        Problem(name, place.line, place.column, dotted(where), _without_default(text, where, data))
        for place, where, text in document.faults
        if not _within(ignored, where)
    ]
    warnings += [*rules.warnings, *feeds.warnings, *asked.warnings, *literal_secrets(data)]
    if known is not None:
        warnings += _unheeded(*known, folders)
        if known[1].feeds and (outdated := calendar_warning(time.time())):
            warnings.append(Fault(("feeds",), outdated, on_key=True))
    told = _ordered(document.problem(name, fault) for fault in warnings if not _within(ignored, fault.location))
    if problems or settings is None:
        raise ConfigError(*_ordered(problems), warnings=told)
    return Loaded(settings, tuple(told), path, document, alerts, inherited)


def _unheeded(data: Any, settings: Settings, folders: Folders) -> list[Fault]:
    """Warnings of what is written and not heeded: keys that are not built yet, symbols beyond a cap."""
    defaults = build(Settings, {}, folders)[0] or Settings()
    return [*not_built(data, settings, defaults), *beyond_capacity(settings)]


def _without_default(text: str, where: Location, data: Any) -> str:
    """What is wrong at `where`; for a secret no default is proposed."""
    is_secret = any(where[: len(place)] == place for place in secret_places(data))
    return text.partition(DEFAULT_PROPOSED)[0] if is_secret else text


def _within(sections: Collection[str], location: Location) -> bool:
    """Whether `location` is in one of `sections`."""
    return bool(location) and location[0] in sections


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        remedies = {
            FileNotFoundError: "name another file with --config, or begin with config/minimal.yaml",
            PermissionError: "let the user who runs this read it",
            IsADirectoryError: "name the file in it with --config",
        }
        if path.parent == SYSTEM.parent:
            remedies[PermissionError] = "sudo, or as a member of the group price-stream"
        remedy = remedies.get(type(error), "name another file with --config")
        raise ConfigError(Problem(str(path), 0, 0, "", f"cannot be read ({error.strerror}): {remedy}")) from None


def _worth_saying(faults: list[Fault], further: list[Fault]) -> list[Fault]:
    """Without what is only missing because its key is mistyped, and `further` faults of what is known to be wrong."""
    places = {fault.location for fault in faults}
    faults = faults + [fault for fault in further if fault.location not in places]
    mistyped = {fault.location[:-1] for fault in faults if fault.meant is not None}
    meant = {(*fault.location[:-1], fault.meant) for fault in faults if fault.meant}
    hushed = mistyped | meant
    return [fault for fault in faults if not (fault.absent and fault.location in hushed)]


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.key, problem.message))
