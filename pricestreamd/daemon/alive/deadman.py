"""The deadman: a GET at intervals while all is well, so that somebody outside notices when it stays away.

All is well as `/health` judges it. While it is not, nothing is asked: the silence is the message. When it is well
again, the next call comes at once.

    2xx             taken
    anything else   a failure: counted, logged once a minute, tried again before the interval is over. A redirect is
                    one, too: whoever follows it gives the key, which is a part of most such addresses, to somebody else

One call takes `DEADLINE_SECONDS` at most, name lookup (in a thread) and TLS (always verified) included. Of the address
only the host is ever told.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
from yarl import URL

from pricestreamd.config.settings import DeadmanSettings
from pricestreamd.feeds.transports.dial_errors import FOREIGN, network_error
from pricestreamd.feeds.transports.resolver import Resolver
from pricestreamd.model.errors import PriceStreamError
from pricestreamd.model.sampling import OncePer
from pricestreamd.model.secret import redact

DEADLINE_SECONDS = 10.0
# After a failure; an interval that is shorter stays as it is.
RETRY_SECONDS = 10.0
# How soon a change of health, or of the settings, is noticed.
LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class DeadmanError(PriceStreamError):
    """A call that was not taken, in words without the address."""


class Deadman:
    """Calls while `fault()` is None. `settings()` gives those in force. `tls`: None trusts what the system trusts.

    `calls` and `failures` count since the start.
    """

    def __init__(
        self,
        settings: Callable[[], DeadmanSettings],
        fault: Callable[[], str | None],
        *,
        tls: ssl.SSLContext | None = None,
        deadline: float = DEADLINE_SECONDS,
        look: float = LOOK_SECONDS,
    ) -> None:
        self._settings = settings
        self._fault = fault
        self._tls = tls
        self._deadline = deadline
        self._look = look
        self._said = OncePer(60.0)
        self._silent = False
        self.calls = 0
        """Calls that were taken."""
        self.failures = 0
        """Calls that were not."""

    async def run(self) -> None:
        """Call whenever it is time, until cancelled."""
        loop = asyncio.get_running_loop()
        known, due = self._settings(), loop.time()
        while True:
            settings = self._settings()
            if settings != known:
                known, due = settings, loop.time()
                self._said = OncePer(60.0)
            if settings.url is not None and loop.time() >= due and self._is_well():
                taken = await self._call(settings.url.reveal())
                due = loop.time() + (settings.interval if taken else min(settings.interval, RETRY_SECONDS))
            await asyncio.sleep(min(self._look, max(0.0, due - loop.time())) or self._look)

    def _is_well(self) -> bool:
        """Whether all is well; each change is logged."""
        fault = self._fault()
        silent = fault is not None
        if silent and not self._silent:
            level = logging.WARNING if self.calls else logging.INFO  # at the start nothing is live yet
            _log.log(level, "deadman: silent, because %s", redact(str(fault)), extra={"action": "deadman_silent"})
        elif self._silent and not silent:
            _log.info("deadman: calls, as all is well", extra={"action": "deadman_calls"})
        self._silent = silent
        return not silent

    async def _call(self, address: str) -> bool:
        try:
            await self._ask(address)
        except DeadmanError as exc:
            self.failures += 1
            held = self._said.admit("failure", asyncio.get_running_loop().time())
            if held is not None:
                extra = {"action": "deadman_failed", "suppressed": held}
                _log.warning("deadman: %s", redact(str(exc)), extra=extra)
            return False
        self.calls += 1
        return True

    async def _ask(self, address: str) -> None:
        """One GET, for which the answer's status is enough."""
        try:
            url = URL(address)
        except ValueError:
            raise DeadmanError("its address cannot be read") from None
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._session() as session,
                session.get(url, allow_redirects=False) as response,
            ):
                status = response.status
        except TimeoutError:
            raise DeadmanError(f"{url.host}: no answer within {self._deadline:g} s") from None
        except FOREIGN as exc:
            # The texts of theirs quote the address.
            raise DeadmanError(str(network_error(exc, url))) from None
        if status // 100 == 3:
            raise DeadmanError(
                f"{url.host} answered {status}, a redirect, which is not followed: configure where it leads"
            )
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise DeadmanError(f"{url.host} answered {status}")

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._tls or True, limit=1, force_close=True, use_dns_cache=False, resolver=Resolver()
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": "pricestreamd"},
            skip_auto_headers=("Accept", "Accept-Encoding"),
            auto_decompress=False,
        )
