"""From the settings of a feed to its adapters: one place knows how they are made."""

from __future__ import annotations

from pricestreamd.feeds.settings import FeedSettings
from pricestreamd.providers.base import Adapter, Terms
from pricestreamd.providers.catalogue import create
from pricestreamd.providers.profile import Profile


def new_adapter(name: str, settings: FeedSettings) -> Adapter:
    """An adapter for one connection of the feed `name`.

    Raises:
        ValueError: there is no such provider.
    """
    terms = Terms(
        feed=name,
        api_key=settings.api_key,
        api_secret=settings.api_secret,
        endpoint=settings.endpoint,
        channel=settings.channel,
        description=settings.description,
    )
    return create(settings.provider, terms)


def profile_of(settings: FeedSettings) -> Profile:
    """What is known of the provider as `settings` use it; an endpoint of one's own may have other limits.

    Raises:
        ValueError: there is no such provider.
    """
    return new_adapter("", settings).profile
