"""Settings of listeners."""

from dataclasses import FrozenInstanceError

import pytest

from pricestreamd.dispatch.settings import ListenerSettings


def test_a_listener_names_its_event_and_its_function_and_has_the_common_priority() -> None:
    settings = ListenerSettings(event="price.spike", call="mytrading.hooks:pause")
    assert (settings.event, settings.call, settings.priority) == ("price.spike", "mytrading.hooks:pause", 0)
    with pytest.raises(FrozenInstanceError):
        settings.priority = 1  # type: ignore[misc]  # it is frozen: that is what is tested
