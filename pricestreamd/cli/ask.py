"""Asking a running daemon over HTTP, and telling it what to change: where it is, and what to say when it does not.

What changes something needs a token: the configured `auth_token`, or the one that the daemon has made for itself and
put into a file that only its user may read.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pricestreamd.cli.trust import Trust, certificate_missing, trust_arguments, trust_of, words_of
from pricestreamd.model.errors import ConfigError, PriceStreamError
from pricestreamd.model.secret import Secret

if TYPE_CHECKING:
    from pricestreamd.config.settings import Settings

# Where the systemd unit has the runtime directory of the daemon, which other programs are not told.
SERVICE_RUNTIME = Path("/run/price-stream")
_TIMEOUT = 5.0
# The daemon itself waits for a slow disk.
_WRITE_TIMEOUT = 30.0
_CONFIGURED = "the auth_token of the configuration"
# Of an answer that is no sentence of ours.
_MOST_LETTERS = 500
_MOST_READY = 10_000


class UnreachableError(PriceStreamError):
    """Nobody answers, or not with what was asked for."""


class CertificateWantedError(UnreachableError):
    """The daemon wants a certificate to be shown, and none is named."""


class RefusedError(UnreachableError):
    """The daemon refuses, in its own words. `parameter` is what is at fault, where it names one; `faults` are all."""

    def __init__(
        self, message: str, status: int, parameter: str | None = None, faults: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.parameter = parameter
        self.faults = faults


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


async def ask(daemon: Target, path: str, *, accept_status: Collection[int] = (200,), timeout: float = _TIMEOUT) -> Any:
    """The JSON answer to `GET path`. `timeout` in seconds.

    Raises:
        UnreachableError: no answer, another status, or no JSON.
    """
    status, answer = await _exchange(daemon, "GET", path, token=daemon.token, timeout=timeout)
    if status == 401:
        raise _unauthorized(daemon, _CONFIGURED if daemon.token else None)
    if status not in accept_status:
        raise _refused(daemon, path, status, answer)
    return answer


async def ask_ready(daemon: Target) -> list[str]:
    """What `/readyz` finds amiss, a line each; empty: the daemon may be used.

    Raises:
        UnreachableError: no answer, or another one.
    """
    status, data = await _bytes(daemon, "GET", "/readyz", token=daemon.token, timeout=_TIMEOUT)
    if status not in (200, 503):
        raise _refused(daemon, "/readyz", status, None)
    lines = data[:_MOST_READY].decode("utf-8", "replace").splitlines()
    return [line.removeprefix("[-]") for line in lines if line.startswith("[-]")]


async def tell(daemon: Target, method: str, path: str, body: Any = None, *, timeout: float = _WRITE_TIMEOUT) -> Any:
    """The JSON answer to a change that was made; None where there is none to it. `timeout` in seconds.

    Raises:
        UnreachableError: no answer, a refusal in the daemon's own words, or no token was found.
    """
    wrong = []
    for token, place in _tokens(daemon):
        status, answer = await _exchange(daemon, method, path, token=token, timeout=timeout, body=body)
        if status < 300:
            return answer
        if status != 401:
            raise _refused(daemon, path, status, answer)
        wrong.append(place)
    raise _unauthorized(daemon, " nor ".join(wrong)) if wrong else _no_token(daemon)


def _tokens(daemon: Target) -> Iterator[tuple[Secret, str]]:
    """The configured token, or those in files, and where each is: one may be what another daemon has left behind."""
    from pricestreamd.http.write_token import read_token

    if daemon.token:
        yield daemon.token, _CONFIGURED
        return
    for path in dict.fromkeys(daemon.token_files):
        try:
            token = read_token(path)
        except OSError as exc:
            raise UnreachableError(
                f"the token in {path} may not be read ({exc.strerror}): sudo, or as the daemon's user"
            ) from exc
        if token is not None:
            yield token, f"that in {path}"


def _unauthorized(daemon: Target, place: str | None) -> UnreachableError:
    """The daemon does not take the token that was found in `place`, or wants one where none was sent."""
    if place is None:
        return UnreachableError(
            f"{daemon.address} needs the auth_token of its configuration: name that file with --config"
        )
    why = "" if daemon.token else " (a new one is made at each start)"
    remedy = "name the configuration of the daemon that runs there with --config"
    return UnreachableError(f"the token is wrong{why}: {daemon.address} does not take {place}; {remedy}")


def _no_token(daemon: Target) -> UnreachableError:
    if not daemon.token_files:
        return UnreachableError(f"no token for {daemon.address}: name the configuration with its auth_token (--config)")
    places = " nor ".join(str(path) for path in dict.fromkeys(daemon.token_files))
    return UnreachableError(
        f"no token is in {places}: is the daemon running, and is this its configuration (--config)?"
    )


def _refused(daemon: Target, path: str, status: int, answer: Any) -> UnreachableError:
    detail = answer.get("detail") if isinstance(answer, dict) else None
    if not isinstance(detail, str):
        where = path.partition("?")[0]
        return UnreachableError(f"{daemon.address} answered {status} {_phrase(status)} to {where}")
    parameter = answer.get("parameter")
    text = " ".join(detail[:_MOST_LETTERS].split())
    faults = [
        (str(fault.get("field", "")), " ".join(str(fault.get("detail", ""))[:_MOST_LETTERS].split()))
        for fault in answer.get("errors") or ()
        if isinstance(fault, dict)
    ]
    return RefusedError(text, status, parameter if isinstance(parameter, str) else None, faults)


def _phrase(status: int) -> str:
    from http import HTTPStatus

    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""


async def _exchange(
    daemon: Target, method: str, path: str, *, token: Secret | None, timeout: float, body: Any = None
) -> tuple[int, Any]:
    """Status and JSON of an answer; None where it has no body."""
    status, data = await _bytes(daemon, method, path, token=token, timeout=timeout, body=body)
    try:
        return status, json.loads(data) if data else None
    except ValueError as exc:
        if status >= 400:
            return status, None
        raise UnreachableError(f"{daemon.address} answers, but is no pricestreamd") from exc


async def _bytes(
    daemon: Target, method: str, path: str, *, token: Secret | None, timeout: float, body: Any = None
) -> tuple[int, bytes]:
    import aiohttp
    from yarl import URL

    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    connector: aiohttp.BaseConnector | None = None
    if daemon.address.startswith("unix:"):
        connector = aiohttp.UnixConnector(daemon.address[5:])
    elif daemon.address.startswith("https:"):
        try:
            connector = aiohttp.TCPConnector(ssl=daemon.trust.context())
        except OSError as exc:
            raise UnreachableError(str(exc)) from exc
    # The path is quoted already, and a slash in it stays `%2F`.
    url = f"http://localhost{path}" if daemon.address.startswith("unix:") else f"{daemon.address}{path}"
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(timeout)) as session,
            # A token goes where it was meant to go, and nowhere else.
            session.request(
                method, URL(url, encoded=True), json=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            return response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise _unreachable(daemon, exc) from exc


def _unreachable(daemon: Target, exc: Exception) -> UnreachableError:
    """Why a daemon could not be asked, with what to do."""
    if certificate_missing(daemon.trust, exc):
        return CertificateWantedError(
            f"{daemon.address} wants a certificate (http.tls.client_ca_file): name one with --cert FILE --key FILE"
        )
    if isinstance(exc, TimeoutError):
        return UnreachableError(
            f"no daemon answers at {daemon.address} in time: is it running, or held up (loop_held_up in its log)?"
        )
    words = words_of(daemon.trust, exc, daemon.address)
    return UnreachableError(words or f"no daemon answers at {daemon.address}: is it running? ({type(exc).__name__})")
