"""What the debug log tells of a connection: what was said on it, and what became of it. Never of a tick."""

from __future__ import annotations

import logging

from pricestreamd.feeds.connection.commands import Close, Ping, Pong, Send
from pricestreamd.model.interface import ConnectionState
from pricestreamd.model.secret import redact
from pricestreamd.providers.base import Ack, Heartbeat, Message, ProviderFault

_log = logging.getLogger(__name__)
# A list of a thousand symbols is one message.
_MOST_CHARACTERS = 200


def sent(feed: str, command: Send | Ping | Pong | Close) -> None:
    """One of ours went out."""
    if isinstance(command, Send):
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("feed %s: sent %s", feed, _bounded(command.text))
    else:
        _log.debug("feed %s: sent a %s frame", feed, type(command).__name__.lower())


def heard(feed: str, message: Message) -> None:
    """The provider said something that is no price."""
    match message:
        case Ack(subscribed, rejected, unsubscribed):
            _log.debug(
                "feed %s: heard an answer: %d subscribed, %d refused, %d given up",
                feed,
                len(subscribed),
                len(rejected),
                len(unsubscribed),
            )
        case Heartbeat():
            _log.debug("feed %s: heard a heartbeat", feed)
        case ProviderFault():
            _log.debug("feed %s: heard a complaint (%s): %s", feed, message.kind, message.message)
        case _:
            pass


def heard_frame(feed: str, kind: str) -> None:
    """A ping or a pong has come."""
    _log.debug("feed %s: heard a %s frame", feed, kind)


def changed(feed: str, before: ConnectionState, after: ConnectionState, dial_in: float | None) -> None:
    """The connection is in another state; `dial_in`: seconds until the next attempt, where one is waited for."""
    if dial_in is None:
        _log.debug("feed %s: %s -> %s", feed, before, after)
    else:
        _log.debug("feed %s: %s -> %s, dials in %.2f s", feed, before, after, dial_in)


def _bounded(text: str) -> str:
    shown = redact(text[: 4 * _MOST_CHARACTERS])
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}... ({len(text)} characters)"
