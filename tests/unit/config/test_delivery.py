"""What sinks and listeners demand of a file."""

import base64
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


WHSEC = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"


@pytest.mark.parametrize(
    "sink",
    [
        "url: 'https://example.org/hook'",
        "url: 'http://example.org:8080/hook?x=1'",
        "url: 'https://8.8.8.8/'",
        "url: 'https://[2606:4700::1]/'",
        "url: 'http://127.0.0.1:9/', allow_private: true",
        "url: 'http://127.0.0.1:9/', allow_private: [127.0.0.0/8]",
        "url: 'http://localhost:9/', allow_private: [127.0.0.0/8]",
        "url: 'https://example.org', secret: '${S}'",
    ],
)
@pytest.mark.parametrize("secret", [WHSEC, f"{WHSEC} {WHSEC}"])
def test_a_webhook_that_can_be_sent_is_good(warnings_of: Problems, sink: str, secret: str) -> None:
    assert warnings_of(f"sinks: {{a: {{type: webhook, {sink}}}}}", S=secret) == []


@pytest.mark.parametrize(
    ("url", "more", "told"),
    [
        ("ftp://example.org/", "", "expected http://... or https://..., as a webhook is a POST"),
        ("https:///hook", "", "expected http://... or https://..., as a webhook is a POST"),
        ("http://0x7f.1/", ", allow_private: true", "0x7f.1 is neither a name nor a proper address: write an IPv4 address as four numbers, such as 192.0.2.1"),
        ("http://127.0.0.1/", "", "127.0.0.1 is no public address: add allow_private: true, or a list of networks"),
        ("http://localhost/", "", "localhost is no public address: add allow_private: true, or a list of networks"),
        ("http://[::ffff:10.1.1.1]/", "", "::ffff:10.1.1.1 is no public address: add allow_private: true, or a list of networks"),
        ("https://example.org:25/", "", "port 25 is none of the web's (80, 443, 1024 and above): allow its network by allow_private"),
        ("http://169.254.169.254/", ", allow_private: [10.0.0.0/8]", "169.254.169.254 is no public address: add allow_private: true, or a list of networks"),
    ],
)  # fmt: skip
def test_a_webhook_that_cannot_be_sent_is_told_of(problems_of: Problems, url: str, more: str, told: str) -> None:
    assert problems_of(f"sinks: {{a: {{type: webhook, url: '{url}'{more}}}}}") == [f"c.yaml:1:33: sinks.a.url: {told}"]


@pytest.mark.parametrize(
    ("secret", "got"),
    [
        ("hunter2-hunter2-hunter2", "a text that begins otherwise"),
        ("whsec_!!!", "what is no base64 after whsec_"),
        ("whsec_c2hvcnQ=", "5 bytes"),
        (f"whsec_{base64.b64encode(bytes(65)).decode()}", "65 bytes"),
        (f"{WHSEC} whsec_c2hvcnQ=", "5 bytes"),
        ("   ", "nothing"),
    ],
)
def test_a_secret_that_cannot_sign_is_told_of_without_showing_it(problems_of: Problems, secret: str, got: str) -> None:
    (told,) = problems_of("sinks: {a: {type: webhook, url: 'https://example.org', secret: '${S}'}}", S=secret)
    assert told == (
        f"c.yaml:1:64: sinks.a.secret: expected whsec_ and base64 of 24 to 64 bytes, got {got}; "
        "this makes one: echo whsec_$(head -c 32 /dev/urandom | base64)"
    )


def test_a_secret_in_a_file_that_cannot_sign_is_told_of_at_the_name_of_the_file(
    problems_of: Problems, tmp_path: Path
) -> None:
    (tmp_path / "hidden").write_text("hunter2-hunter2")
    (tmp_path / "hidden").chmod(0o600)
    (told,) = problems_of(
        f"sinks: {{a: {{type: webhook, url: 'https://example.org', secret_file: {tmp_path}/hidden}}}}"
    )
    assert told.startswith("c.yaml:1:69: sinks.a.secret_file: expected whsec_ and base64 of 24 to 64 bytes, got a text")
    assert "hunter2" not in told


@pytest.mark.parametrize("url", ["https://hc.example.org/ping/1", "http://10.0.0.1:8080/x?y=1"])
def test_a_deadman_that_can_be_asked_is_good(warnings_of: Problems, url: str) -> None:
    assert warnings_of("deadman: {url: '${U}', interval: 30s}", U=url) == []
    assert warnings_of("deadman: {url: null}") == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://example.org/", "expected http://... or https://..., as it is asked by a GET"),
        ("https:///ping", "expected http://... or https://..., as it is asked by a GET"),
        ("https://127.1/", "127.1 is neither a name nor a proper address: write an IPv4 address as four numbers, such as 192.0.2.1"),
        ("example.org/ping", "expected an address such as scheme://host/path"),
    ],
)  # fmt: skip
def test_a_deadman_that_cannot_be_asked_is_told_of_without_its_address(
    problems_of: Problems, url: str, told: str
) -> None:
    assert problems_of("deadman: {url: '${U}'}", U=url) == [f"c.yaml:1:16: deadman.url: {told}"]
