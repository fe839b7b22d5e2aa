"""Whether a feed's settings fit its provider: address, channel and symbols, as its adapter knows them."""

from __future__ import annotations

from collections.abc import Iterator

from pricestreamd.config.findings import Findings
from pricestreamd.config.settings import Settings
from pricestreamd.config.yaml_text import Location
from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.feeds.terms import new_adapter
from pricestreamd.feeds.transports.endpoint import endpoint_fault, tls_context
from pricestreamd.model.errors import TransportError
from pricestreamd.providers.base import Adapter


def check_feeds(settings: Settings) -> Findings:
    """What `settings` ask of providers that these cannot give. A provider that is not known is told of elsewhere."""
    found = Findings()
    for name, feed in settings.feeds.items():
        try:
            adapter = new_adapter(name, feed)
        except ValueError:
            continue
        location = ("feeds", name)
        _endpoint(location, feed, adapter, found)
        _channel(location, feed, adapter, found)
        _authority(location, feed, found)
        for index, reason in _refusals(feed, adapter):
            found.warn((*location, "symbols", index), f"cannot be asked for here: {reason}")
    return found


def _endpoint(location: Location, feed: FeedSettings, adapter: Adapter, found: Findings) -> None:
    about = adapter.profile
    if not feed.endpoint and not about.endpoint:
        found.fault((*location, "endpoint"), f"{feed.provider} needs an endpoint", absent=True)
        return
    # Where plaintext may go is another rule's business.
    fault = endpoint_fault(feed.endpoint or about.endpoint, transport=about.transport, allow_plaintext=True)
    if fault is not None:
        found.fault((*location, "endpoint"), f"{fault}, because {feed.provider} speaks {_SPEAKS[about.transport]}")


def _channel(location: Location, feed: FeedSettings, adapter: Adapter, found: Findings) -> None:
    channels = adapter.profile.channels
    if feed.channel is not None and feed.channel not in channels:
        found.fault((*location, "channel"), f"{feed.provider} has {' and '.join(channels)} only")


def _authority(location: Location, feed: FeedSettings, found: Findings) -> None:
    if feed.tls.ca_file is None:
        return
    try:
        tls_context(feed.tls.ca_file)
    except TransportError as exc:
        found.fault((*location, "tls", "ca_file"), f"{exc}; mend the file, or name another one")


def _refusals(feed: FeedSettings, adapter: Adapter) -> Iterator[tuple[int, str]]:
    for index, symbol in enumerate(feed.symbols):
        reason = adapter.refusal(symbol)
        if reason is not None:
            yield index, reason
        else:
            adapter.symbols.add(symbol)


_SPEAKS = {"websocket": "over a WebSocket", "sse": "in server-sent events", "poll": "in answers to requests"}
