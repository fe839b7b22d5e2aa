"""Who may ask: names we answer to, pages that may ask, the bearer token, and headers that bind the browser.

A web page of a stranger can make a browser send requests to a loopback address. Against that stand the list of known
`Host` names (a stranger's name that points here is refused) and the `Origin` check (a stranger's page is refused).
What changes something needs a token besides, always: no browser sends that by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import hdrs, web
from multidict import CIMultiDict

from pricestreamd.http.allowance import Allowance, place_of, retry_after
from pricestreamd.http.problem import RefusalError, problem_response
from pricestreamd.http.settings import HttpSettings
from pricestreamd.http.write_token import NAME
from pricestreamd.model.secret import Secret

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES = 64 * 1024

# Routes that need no token: they hold no data, or must be answered to supervisors that know none.
OPEN_ROUTES = frozenset({"/", "/page/{name}", "/livez", "/readyz", "/health"})

# A stale page or a script with an old token may be wrong a few times; nobody guesses a token in thirty attempts.
WRONG_TOKENS = 30
WRONG_TOKENS_A_SECOND = 1.0
# A page asks for some twenty files and answers at once, and for one or two answers a second after that; behind a proxy
# a hundred pages are one address. Whoever asks more often than all of those is a loop gone wrong.
REQUESTS = 1000
REQUESTS_A_SECOND = 200.0

# Whoever looks after the process gets an answer, whatever else comes from where it asks. Who asks for the health gets
# one, too; beyond what others may, it is that of a moment ago.
PROBES = frozenset({"/livez", "/readyz"})
HURRIED = web.RequestKey("hurried", bool)
# Scrapes are counted by themselves: a program that asks too often must not leave its machine without metrics.
_SCRAPE = "/metrics"

# Methods that change nothing.
READS = frozenset({"GET", "HEAD", "OPTIONS"})
# What a browser says of a request that no page of another origin has sent.
_OWN_SITE = frozenset({"same-origin", "none"})

# The bytes of the page come from here, nothing is inline, and nobody may frame it.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def add_security_headers(headers: CIMultiDict[str]) -> None:
    """Add what every answer carries, and keep what the handler set on purpose."""
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    # Which library we are built on, and its version, is nobody's business.
    headers[hdrs.SERVER] = "pricestreamd"


async def secure_response(_request: web.Request, response: web.StreamResponse) -> None:
    """`on_response_prepare`: no answer leaves without the headers."""
    add_security_headers(response.headers)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Around all that may refuse: refusals, ours and aiohttp's, become problem+json."""
    try:
        return await handler(request)
    except RefusalError as problem:
        return problem_response(
            problem.status,
            problem.detail,
            parameter=problem.parameter,
            faults=problem.faults,
            headers=problem.headers,
        )
    except web.HTTPException as exc:
        allow = exc.headers.get(hdrs.ALLOW)
        return problem_response(exc.status, headers={hdrs.ALLOW: allow} if allow else None)


class Access:
    """The checks that every request passes before any handler sees it.

    `writes`: whether something can be changed here; then that needs the configured token, or the one of `let_write`.
    """

    def __init__(self, settings: HttpSettings, *, writes: bool = False, requests: Allowance | None = None) -> None:
        self._writes = writes
        self._made: bytes | None = None
        self._made_in = NAME
        self._requests = Allowance(REQUESTS, REQUESTS_A_SECOND) if requests is None else requests
        self._guesses = Allowance(WRONG_TOKENS, WRONG_TOKENS_A_SECOND)
        self.apply(settings)

    def apply(self, settings: HttpSettings) -> None:
        """Answer to the names, and want the token, of `settings` from the next request on."""
        names = set(settings.allowed_hosts)
        if not settings.listen.startswith("unix:"):
            names.add(settings.listen)
        # `:9777` listens everywhere and has no name.
        self._names = (_LOOPBACK_NAMES | set(map(host_name, names))) - {""}
        token = settings.auth_token
        self._digest = _digest(token.reveal()) if token else None

    def let_write(self, token: Secret, path: Path) -> None:
        """Whoever has `token`, which is in `path`, may change things from now on, while none is configured."""
        self._made = _digest(token.reveal())
        self._made_in = str(path)

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request through, or raise the refusal."""
        known = self._is_known(request)
        self._check_pace(request, known=known)
        host = self._check_host(request)
        self._check_origin(request, host)
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise RefusalError(413, "The body is larger than 64 KiB.", headers={hdrs.CONNECTION: "close"})
        if self._writes and request.method not in READS:
            self._check_site(request)
            self._check_token(request, known=known)
        elif self._digest is not None and not _is_open(request):
            self._check_token(request, known=known)
        return await handler(request)

    def _is_known(self, request: web.Request) -> bool:
        """Whether the request has the right token."""
        digest, given = self._digest or self._made, _token_of(request)
        # Digests of equal length, compared in constant time: nothing of the token shows in how long it takes.
        return digest is not None and given is not None and hmac.compare_digest(_digest(given), digest)

    def _check_pace(self, request: web.Request, *, known: bool) -> None:
        place, now = _bucket_of(request, known=known), time.monotonic()
        if place is None or request.path in PROBES:
            return
        wait = self._requests.wait(place, now)
        if wait > 0 and request.path == "/health":
            request[HURRIED] = True
            return
        if wait > 0:
            raise RefusalError(
                429, "Too many requests come from there: wait.", headers={hdrs.RETRY_AFTER: retry_after(wait)}
            )
        self._requests.take(place, now)

    def _check_host(self, request: web.Request) -> str:
        hosts = request.headers.getall(hdrs.HOST, [])
        if len(hosts) == 1:
            name = host_name(hosts[0])
            if name in self._names or name == _own_address(request):
                return hosts[0]
        raise RefusalError(
            421, "This server does not answer to that Host name. Ask by its address, or add the name to allowed_hosts."
        )

    @staticmethod
    def _check_origin(request: web.Request, host: str) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return
        scheme, _, rest = origin.partition("://")
        if not rest or _with_port(rest, scheme) != _with_port(host, scheme):
            raise RefusalError(403, "Pages of another origin may not ask this server.")

    @staticmethod
    def _check_site(request: web.Request) -> None:
        """Browsers that send no Origin with some requests say by this header which page is behind them."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None and site.strip().lower() not in _OWN_SITE:
            raise RefusalError(403, "Pages of another origin may not change anything here.")

    def _check_token(self, request: web.Request, *, known: bool) -> None:
        if known:
            # Whoever else is wrong there, and however often.
            return
        if _token_of(request) is None:
            # No guess: somebody who does not know that a token is needed.
            raise self._unauthorized("needs the header Authorization: Bearer with {token}.")
        place, now = place_of(request.remote), time.monotonic()
        wait = self._guesses.wait(place, now)
        if wait > 0:
            raise RefusalError(
                429, "Too many wrong tokens came from there: wait.", headers={hdrs.RETRY_AFTER: retry_after(wait)}
            )
        self._guesses.take(place, now)
        raise self._unauthorized("was asked with a wrong token: it needs {token}.")

    def _unauthorized(self, why: str) -> RefusalError:
        """`why` goes on after `This`; the place of a made token is no secret, only its file's content is."""
        made = f"the token that is in the file {self._made_in}, a new one at each start"
        token = "the configured auth_token" if self._digest is not None else made
        return RefusalError(
            401,
            f"This {why.format(token=token)}",
            headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="pricestreamd"'},
        )


def _token_of(request: web.Request) -> str | None:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    given = given.strip()
    return given if scheme.lower() == "bearer" and given else None


def _bucket_of(request: web.Request, *, known: bool) -> str | None:
    """Whose requests are counted together; None: nobody counts them.

    Of those who have the right token each connection stands for itself: several programs of one owner share an address.
    What comes through a socket in the file system was let in by its permissions.
    """
    place = place_of(request.remote)
    if not place:
        return None
    if request.path == _SCRAPE:
        place += _SCRAPE
    peer = request.transport.get_extra_info("peername") if known and request.transport is not None else None
    return f"{place} {peer[1]}" if isinstance(peer, tuple) else place


def _is_open(request: web.Request) -> bool:
    """Whether its address needs no token to be read."""
    # The route that matched decides, not the text of the path: there is one reading of it only.
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in OPEN_ROUTES


def host_name(host: str) -> str:
    """The name of a `name:port`, `[address]:port` or bare name or address, in lower case, without a final dot."""
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    if text.count(":") > 1:
        return text
    return text.partition(":")[0].rstrip(".")


def _with_port(host: str, scheme: str) -> str:
    text = host.strip().lower()
    has_port = ":" in text.rpartition("]")[2]
    return text if has_port else f"{text}:{_DEFAULT_PORTS.get(scheme.lower(), '')}"


def _own_address(request: web.Request) -> str | None:
    """The address at which this connection came in: what a wildcard such as 0.0.0.0 is bound to."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport else None
    return str(name[0]).removeprefix("::ffff:").lower() if isinstance(name, tuple) else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
