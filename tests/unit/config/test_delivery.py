"""What sinks and listeners demand of a file."""

from pathlib import Path

import pytest

from pricestreamd.config.delivery import KNOWN_EVENTS
from tests.unit.config.conftest import Load, Problems


@pytest.mark.parametrize("other", ["x.db", "./x.db", "sub/../x.db", "{state}/x.db", "{link}/x.db"])
@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_two_sinks_cannot_write_one_file(problems_of: Problems, tmp_path: Path, kind: str, other: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    path = other.format(state=tmp_path / "state", link=tmp_path / "link")
    first, second = "  a: {type: sqlite, path: x.db}", f"  b: {{type: {kind}, path: {path}}}"
    assert problems_of(f"sinks:\n{first}\n{second}\n") == [
        (
            f"c.yaml:3:{second.rindex(path) + 1}: sinks.b.path: sink a writes this file already "
            f"(c.yaml:2:{first.index('x.db') + 1}): give one of them another path"
        )
    ]


def test_sinks_with_files_of_their_own_are_good(load_text: Load) -> None:
    assert load_text("sinks: {a: {type: file, path: x}, b: {type: file, path: y}, c: {type: log}}").warnings == ()


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("price.alrt", "no event 'price.alrt'; did you mean 'price.alert'?"),
        ("feed.conected", "no event 'feed.conected'; did you mean 'feed.connected'?"),
        ("alert.x", "no event 'alert.x'; there are alert.blind or alert.sighted"),
        ("portfolio.updates", "no event 'portfolio.updates'; did you mean 'portfolio.update'?"),
        ("price.alert.*", "no event 'price.alert.*'; did you mean 'price.alert'?"),
    ],
)
def test_an_event_that_there_is_not_is_told_of(warnings_of: Problems, event: str, told: str) -> None:
    assert warnings_of(f"sinks: {{a: {{type: log, events: [price.update, {event}]}}}}") == [
        f"c.yaml:1:47: sinks.a.events[1]: {told}"
    ]
    assert warnings_of(f"listeners: [{{event: {event}, call: 'a:b'}}]") == [f"c.yaml:1:21: listeners[0].event: {told}"]


@pytest.mark.parametrize("event", [*KNOWN_EVENTS, "'*'", "price.*", "feed.*", "my-own.event", "own", "price"])
def test_an_event_that_there_is_or_that_is_somebodys_own_is_good(warnings_of: Problems, event: str) -> None:
    assert warnings_of(f"sinks: {{a: {{type: log, events: [{event}]}}}}") == []
    assert warnings_of(f"listeners: [{{event: {event}, call: 'a:b'}}]") == []
