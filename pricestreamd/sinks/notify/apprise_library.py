"""The library Apprise at arm's length: imported when it is first needed, silent, and asked for one address at a time.

Every call here blocks: it belongs into a thread. An address is a secret as a whole. The library's own log lines and
exceptions may hold parts of it, so none gets out: its logger leads nowhere, and each of its records is exchanged for
one of a few sentences, or a status of HTTP, before any handler sees it.
"""

from __future__ import annotations

import logging
import re
import threading
from functools import cache
from importlib import import_module
from typing import Any

from pricestreamd.model.secret import Secret

SERVICES = "https://appriseit.com/services/"
EXTRA = "pip install pricestreamd[notify]"

_STATUS = re.compile(r"\berror=(\d{3})\b")
_NO_CONNECTION = re.compile(r"(?i)connection error")
_NOT_TAKEN = "did not take the message"
# What they say below that level names addresses in full.
_TALKATIVE = ("urllib3", "requests", "requests_oauthlib", "oauthlib")

_loading = threading.Lock()


class AppriseError(Exception):
    """The library did not do what was asked; the text is ours."""


class _Reduced(logging.Filter):
    """Leaves of a record of the library what can be repeated."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _said(record.getMessage()), ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


class Recipient:
    """One address, made ready.

    Raises:
        AppriseError: the library is missing, too old, or does not understand the address.
    """

    def __init__(self, address: Secret) -> None:
        apprise, asset = _library()
        try:
            plugin = apprise.Apprise.instantiate(address.reveal(), asset=asset)
        except Exception as exc:  # noqa: BLE001 - whatever a plugin of the library raises: its text may hold the address
            raise AppriseError(f"Apprise failed with a {type(exc).__name__} at this address") from None
        if plugin is None:
            raise AppriseError(f"Apprise does not understand this address; how each service is written: {SERVICES}")
        # Whether a message has left is what is asked here: a failure is one, whatever the address says.
        plugin.optional = False
        self._apprise = apprise.Apprise(plugin, asset=asset)
        self._format = apprise.NotifyFormat.TEXT

    def send(self, title: str, body: str) -> None:
        """Send one message, as plain text.

        Raises:
            AppriseError: it was not taken.
        """
        try:
            result = self._apprise.notify(body=body, title=title, body_format=self._format)
        except Exception as exc:  # noqa: BLE001 - as above
            raise AppriseError(f"Apprise failed with a {type(exc).__name__}") from None
        if not result:
            raise AppriseError(_reason(result))


def address_fault(address: Secret) -> str | None:
    """Why nothing can be sent to `address`, in a sentence without any part of it; None: it can be tried."""
    try:
        Recipient(address)
    except AppriseError as exc:
        return str(exc)
    return None


def _library() -> tuple[Any, Any]:
    # Several threads may be the first, and it must be made once.
    with _loading:
        return _loaded()


@cache
def _loaded() -> tuple[Any, Any]:
    _silence()
    try:
        apprise = import_module("apprise")
    except ImportError:
        raise AppriseError(f"the library apprise is missing: {EXTRA}") from None
    try:
        asset = apprise.AppriseAsset(
            app_id="pricestreamd",
            app_desc="pricestreamd",
            # In the thread that calls, and in no pool of the library's, which the end of the process would wait for.
            async_mode=False,
            service_timeout=0,
            # A redirected POST becomes a GET, and its message is lost in silence.
            http_redirects=False,
            # Names in the text of a message stay what they are.
            interpret_emojis=False,
            allow_templates=False,
            storage_mode="memory",
        )
    except Exception as exc:  # noqa: BLE001 - an older version knows other settings
        raise AppriseError(f"apprise is too old ({type(exc).__name__}): {EXTRA}") from None
    return apprise, asset


def _silence() -> None:
    """Before the library is there: a logger exists as soon as somebody asks for it."""
    logger = logging.getLogger("apprise")
    if any(isinstance(known, _Reduced) for known in logger.filters):
        return
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(logging.NullHandler())
    logger.addFilter(_Reduced())
    for name in _TALKATIVE:
        other = logging.getLogger(name)
        other.setLevel(max(other.level, logging.INFO))


def _reason(result: Any) -> str:
    """What the library has said of a failure, first of all what tells most."""
    try:
        said = [str(entry.message) for entry in result.logs()]
    except Exception:  # noqa: BLE001 - what is kept of a failure differs from version to version
        said = []
    return next((text for text in said if text != _NOT_TAKEN), _NOT_TAKEN)


def _said(text: str) -> str:
    """What can be repeated of a line that may hold anything."""
    if status := _STATUS.search(text):
        return f"answered {status[1]}"
    return "no connection" if _NO_CONNECTION.search(text) else _NOT_TAKEN
