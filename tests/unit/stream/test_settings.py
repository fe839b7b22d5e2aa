"""Settings of the stream: their defaults are those of the documentation, and nothing changes them."""

from dataclasses import FrozenInstanceError, fields

import pytest

from pricestreamd.stream.settings import (
    ActiveSettings,
    AlertSettings,
    AlertStormSettings,
    HistorySettings,
    PositionSettings,
    SpikeSettings,
    StreamSettings,
    SuspectSettings,
)


@pytest.mark.parametrize(
    "settings",
    [
        *(
            StreamSettings(),
            SpikeSettings(),
            HistorySettings(),
            SuspectSettings(),
            AlertSettings(),
            AlertStormSettings(),
        ),
        *(ActiveSettings(), PositionSettings(shares=100, cost_basis=150.0)),
    ],
    ids=lambda settings: type(settings).__name__,
)
def test_settings_cannot_be_changed(settings: object) -> None:
    for field in fields(settings):  # type: ignore[arg-type]  # each of them is a dataclass
        with pytest.raises(FrozenInstanceError):
            setattr(settings, field.name, None)


def test_an_alert_asks_for_nothing_that_was_not_written() -> None:
    alert = AlertSettings()
    assert (alert.once, alert.notify, alert.baseline, alert.trigger, alert.when, alert.on_start) == (
        *(False, (), "armed", "edge", "any", "fire"),
    )
    assert alert.above is alert.below is alert.change_percent is None
