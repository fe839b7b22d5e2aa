"""Asking a running daemon over HTTP, and telling it what to change; and what to say when it does not answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pricestreamd.cli.trust import certificate_missing, words_of
from pricestreamd.model.errors import PriceStreamError
from pricestreamd.model.secret import Secret

if TYPE_CHECKING:
    from pricestreamd.cli.target import Target

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


@contextmanager
def understood(daemon: Target) -> Iterator[None]:
    """Around reading an answer: one of another shape than ours is an `UnreachableError`, too."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as exc:
        raise UnreachableError(f"{daemon.address} answers, but is no pricestreamd, or another version of it") from exc


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
