"""Which daemon a command is about: where it answers, how it is trusted, and where the token for changes may be.

What changes something needs a token: the configured `auth_token`, or the one that the daemon has made for itself and
put into a file that only its user may read.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pricestreamd.cli.trust import Trust, trust_arguments, trust_of
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import Secret

if TYPE_CHECKING:
    from pricestreamd.config.settings import Settings

# Where the systemd unit has the runtime directory of the daemon, which other programs are not told.
SERVICE_RUNTIME = Path("/run/price-stream")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a daemon answers: an `http(s)://` or `unix:/path` address, and the configured token, if there is one.

    `token_files`: where the token for changes may be, if none is configured.
    """

    address: str
    token: Secret | None = None
    token_files: tuple[Path, ...] = ()
    trust: Trust = field(default_factory=Trust)


def url_argument(parser: argparse.ArgumentParser) -> None:
    """`--url`, for a command that asks a daemon, and how it is trusted."""
    parser.add_argument("--url", metavar="URL", help="of the daemon; else $PRICESTREAM_URL, else the configuration's")
    trust_arguments(parser)


def target(args: argparse.Namespace, *, change: bool = False) -> Target:
    """`--url`, else `$PRICESTREAM_URL`, else what `http` of the configuration says, else where a daemon is by default.

    An address without a scheme is `http://`, and a path is that of a socket. `change`: something is to be changed
    there, so a token is looked for. With an address, the token of a configuration that was not named goes to this
    machine only.

    Raises:
        ConfigError: the configuration that is named or found cannot be read, or its `http` is wrong.
    """
    given = args.url or os.environ.get("PRICESTREAM_URL")
    if given:
        scheme = "" if "://" in given or given.startswith("unix:") else "unix:" if given[0] == "/" else "http://"
        found = _addressed(f"{scheme}{given.rstrip('/')}", args.config, change=change)
        return replace(found, trust=trust_of(args))
    settings, config = settings_found(args.config)
    http, files = settings.http, _token_files(settings, config)
    if http.listen.startswith("unix:"):
        return Target(http.listen, http.auth_token, (*_beside(http.listen), *files))
    host, _, port = http.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - asked, not bound
    return Target(
        f"{'https' if http.tls else 'http'}://{host}:{port}", http.auth_token, files, trust_of(args, tls=http.tls)
    )


def _addressed(address: str, config: str | None, *, change: bool) -> Target:
    here = _is_here(address)
    if config is None and not (change and here):
        return Target(address)
    try:
        settings, found = settings_found(config)
    except ConfigError:
        if config is not None:
            raise
        return Target(address, None, (*_beside(address), SERVICE_RUNTIME / _token_name()))
    return Target(
        address, settings.http.auth_token, (*_beside(address), *_token_files(settings, found)) if here else ()
    )


def _is_here(address: str) -> bool:
    """Whether an address is this machine's."""
    from pricestreamd.config.forms import is_loopback

    if address.startswith("unix:"):
        return True
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False


def settings_found(config: str | None, sections: Collection[str] = ("http", "state")) -> tuple[Settings, Path | None]:
    """These sections of the configuration named or found, and its file; without one the defaults, and None.

    Raises:
        ConfigError: it cannot be read.
    """
    from pricestreamd.config.load import find_config, state_directory
    from pricestreamd.config.service_places import load_beside
    from pricestreamd.config.settings import Settings

    try:
        found = find_config(config, os.environ)
    except ConfigError:
        state = Settings().state
        return replace(Settings(), state=replace(state, path=state_directory(os.environ) / state.path)), None
    return load_beside(found, os.environ, feeds_required=False, sections=sections).settings, found


def _token_name() -> str:
    from pricestreamd.http.write_token import NAME

    return NAME


def _token_files(settings: Settings, config: Path | None) -> tuple[Path, ...]:
    """Where systemd has the token, and where another service manager has it: beside the state."""
    from pricestreamd.config.service_places import service_environ, service_places
    from pricestreamd.http.write_token import token_path

    state = settings.state.path
    if config is None or service_places(config) is None:
        return token_path(os.environ, state), SERVICE_RUNTIME / _token_name()
    return tuple(dict.fromkeys(token_path(told, state) for told in (service_environ(config, os.environ), {})))


def _beside(address: str) -> tuple[Path, ...]:
    """The token file in the folder of a unix socket: one daemon of several has both in its own runtime directory."""
    return (Path(address[5:]).with_name(_token_name()),) if address.startswith("unix:") else ()
