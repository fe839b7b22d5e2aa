"""Providers by name."""

import pytest

from pricestreamd.feeds.settings import PROVIDERS
from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import Terms
from pricestreamd.providers.catalogue import create, profile, provider_names


def test_every_provider_can_be_made_by_its_name() -> None:
    for name in provider_names():
        adapter = create(name, Terms(feed="f", api_key=Secret("some-key"), endpoint="wss://example.org/x"))
        assert adapter.profile is profile(name)
        assert adapter.profile.name == name
        assert adapter.feed == "f"
        assert name in PROVIDERS


@pytest.mark.parametrize(("name", "hint"), [("twelvdata", "did you mean 'twelvedata'"), ("zzz", "there are: ")])
def test_an_unknown_provider_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        create(name)
    with pytest.raises(ValueError, match="unknown provider"):
        profile(name)
