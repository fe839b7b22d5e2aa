"""Where an installed service keeps its things, told by the path of its configuration, for commands beside the service.

`/etc/price-stream/config.yaml` is that of `price-stream.service`, `/etc/price-stream/NAME.yaml` that of
`price-stream@NAME.service`. systemd tells the daemon its folders and the values of its environment file; a command
that a person types has to know them all the same, or it looks for state, token and keys in that person's home.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pricestreamd.config.environment_file import environment_of
from pricestreamd.config.load import SYSTEM, Loaded, load
from pricestreamd.model.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection

# An environment file that is longer is something else.
_MOST_BYTES = 1024 * 1024
RIGHTS = "sudo, or as the user price-stream"
"""How to get at what only root and the service may read."""


@dataclass(frozen=True, slots=True)
class ServicePlaces:
    """The folders and the environment file of one installed service; none of them need be there."""

    environment: Path
    state: Path
    runtime: Path
    credentials: Path

    def as_environ(self) -> dict[str, str]:
        """The folders under the names by which systemd tells them."""
        return {
            "STATE_DIRECTORY": str(self.state),
            "RUNTIME_DIRECTORY": str(self.runtime),
            "CREDENTIALS_DIRECTORY": str(self.credentials),
        }


def service_places(config: Path, root: Path = Path("/")) -> ServicePlaces | None:
    """Those of the service whose configuration `config` is; None where it is no service's. `root`: of the machine."""
    path = Path(os.path.abspath(config))  # noqa: PTH100 - resolve() would follow a link away from its folder
    if path.parent != root / SYSTEM.parent.relative_to("/") or path.suffix != SYSTEM.suffix:
        return None
    main = path.name == SYSTEM.name
    name, unit = (
        ("price-stream", "price-stream") if main else (f"price-stream-{path.stem}", f"price-stream@{path.stem}")
    )
    return ServicePlaces(
        environment=path.with_name("env") if main else path.with_suffix(".env"),
        state=root / "var/lib" / name,
        runtime=root / "run" / name,
        credentials=root / "run/credentials" / f"{unit}.service",
    )


def service_environ(config: Path, environ: Mapping[str, str], root: Path = Path("/")) -> Mapping[str, str]:
    """`environ`, and below it what the service of `config` has; what `environ` sets wins. No service: `environ`.

    An environment file that may not be read is as one that is not there (see `load_beside`). Blocks.
    """
    places = service_places(config, root)
    if places is None:
        return environ
    return {**places.as_environ(), **environment_of(_content(places.environment)[0]), **environ}


def load_beside(
    config: Path,
    environ: Mapping[str, str],
    *,
    feeds_required: bool = True,
    sections: Collection[str] | None = None,
    root: Path = Path("/"),
) -> Loaded:
    """`load` for a command beside the service of `config`: with the service's environment. Arguments as there.

    Raises:
        ConfigError: as there; it also names an environment file that may not be read, as what lacks may be in it.
    """
    known: dict[str, Any] = {"feeds_required": feeds_required, "sections": sections}
    try:
        return load(config, environ=service_environ(config, environ, root), **known)
    except ConfigError as exc:
        places = service_places(config, root)
        why = None if places is None else _content(places.environment)[1]
        if places is None or why is None or not any("the environment has no" in one.message for one in exc.problems):
            raise
        told = Problem(str(places.environment), 0, 0, "", f"cannot be read ({why}), and the service does: {RIGHTS}")
        raise ConfigError(told, *exc.problems, warnings=exc.warnings) from None


def _content(path: Path) -> tuple[str, str | None]:
    """The text of an environment file, and why it cannot be read; one that is not there is empty."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return "", None
    except OSError as exc:
        return "", exc.strerror
    return data.decode("utf-8", "replace"), None
