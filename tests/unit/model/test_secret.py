"""Secrets: shown nowhere, whatever form they take, and harmless text is left alone."""

import base64
import copy
import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from pricestreamd.model import secret
from pricestreamd.model.secret import MASK, Secret, redact, register

KEY = "k3y/with+odd=chars&more"


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What one test registers must not hide words of another."""
    before = list(secret._known)
    secret._known.clear()
    yield
    secret._known[:] = before


@dataclass
class Settings:
    api_key: Secret
    name: str = "us"


def test_no_text_form_of_a_secret_shows_it() -> None:
    one = Secret(KEY)
    # All the ways of making a text are what is tested.
    forms = [
        *(str(one), repr(one), f"{one}", f"{one!r}", f"{one:>30}", "%s" % one, "%r" % one, "{}".format(one)),  # noqa: UP031, UP032
        *(repr([one]), repr({"a": one}), repr((one,)), str({one}), repr(Settings(one)), str(asdict(Settings(one)))),
        *(repr(ValueError("refused", one)), str(ValueError(one)), json.dumps({"key": one}, default=str)),
        *(repr(copy.copy(one)), repr(copy.deepcopy(one))),
    ]
    for form in forms:
        assert KEY not in form
        assert MASK in form


def test_a_log_line_shows_the_mask(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(__name__).error("key %s in %r", Secret(KEY), [Secret(KEY)])
    assert caplog.messages == ["key *** in [***]"]


def test_whoever_must_send_it_gets_the_text() -> None:
    assert Secret(KEY).reveal() == KEY
    assert copy.deepcopy(Secret(KEY)).reveal() == KEY


def test_secrets_compare_by_their_text() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert Secret(KEY)
    assert not Secret("")


FORMS = {
    "as it is": KEY,
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in lower case": re.sub("%..", lambda code: code[0].lower(), quote(KEY, safe="")),
    "percent-encoded path": quote(KEY),
    "form-encoded": quote_plus(KEY),
    "in a query, as aiohttp writes it": str(URL("wss://x.test/").with_query({"anything": KEY})),
    "in a path, as aiohttp writes it": str(URL("wss://x.test/") / KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "base64 after a user name": base64.b64encode(b"user:" + KEY.encode()).decode(),
    "base64 in the middle": base64.b64encode(b"12" + KEY.encode() + b"and more").decode(),
    "in JSON": json.dumps({"a": KEY}),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_redact_hides_a_registered_secret(text: str) -> None:
    register(KEY)
    hidden = redact(f"before {text} after")
    assert MASK in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    # At most the ends, in which a base64 shares characters with its neighbours, are left.
    for piece in (KEY[3:], quote(KEY, safe="")[4:], base64.b64encode(KEY.encode()).decode()[4:-4]):
        assert piece not in hidden


@pytest.mark.parametrize("key", ['quoted"and\\back', "new\nline", "schlüssel€", "sch\udcfcssel", "a b c d e"])
def test_odd_secrets_are_hidden_also_where_they_are_escaped(key: str) -> None:
    Secret(key)
    for text in (key, json.dumps(key), json.dumps(key, ensure_ascii=False)):
        assert redact(f"x{text}x").count(MASK) == 1


def test_a_secret_that_is_part_of_another_leaves_nothing_of_it() -> None:
    register("inner-secret")
    register("the-inner-secret-and-more")
    assert redact("a the-inner-secret-and-more b inner-secret c") == "a *** b *** c"


def test_pieces_in_base64_are_hidden_of_secrets_that_are_long_enough() -> None:
    """Of a short secret such pieces are four letters, which may be part of any word."""
    for key, hidden in (("eight888", True), ("seven77", False)):
        register(key)
        inside = base64.b64encode(f"user:{key}".encode()).decode()
        assert (MASK in redact(inside)) is hidden


def test_a_text_too_short_to_be_a_secret_hides_nothing() -> None:
    register("abc")
    register("")
    assert redact("abc abc") == "abc abc"
    register("abcd")
    assert redact("abcd abc") == "*** abc"


@given(st.text(min_size=4, max_size=40), st.text(max_size=20), st.text(max_size=20))
@example("%41%41", "", "")
@example("\ud800abc", "x", "y")
def test_no_text_registered_survives_redaction(key: str, before: str, after: str) -> None:
    if MASK in key or key in MASK * 2:
        return
    secret._known.clear()
    register(key)
    hidden = redact(f"{before} {key} {after}")
    assert key not in hidden.replace(before, "").replace(after, "")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("wss://ws.x.test/v1?apikey=abc123&symbol=AAPL", "wss://ws.x.test/v1?apikey=***&symbol=AAPL"),
        ("GET /?api_key=abc HTTP/1.1", "GET /?api_key=*** HTTP/1.1"),
        ("?token=abc#part", "?token=***"),
        ("?access_token=abc&x=1", "?access_token=***&x=1"),
        ("?X-Amz-Signature=abc&x=1", "?X-Amz-Signature=***&x=1"),
        ("?API_KEY=abc&Secret=def;PASSWORD=ghi", "?API_KEY=***&Secret=***;PASSWORD=***"),
        ("BasicAuth(login='me', password='my pass')", "BasicAuth(login='me', password='***')"),
        ('password="my pass" next', 'password="***" next'),
        ('{"message": "password=\\"my pass\\"", "a": 1}', '{"message": "password=\\"***\\"", "a": 1}'),
        ("{'key=abc', 'b'}", "{'key=***', 'b'}"),
        ("Authorization: Bearer abc.def next", "Authorization: *** next"),
        ("Authorization: Basic dXNlcjpwYXNz next", "Authorization: *** next"),
        ("authorization=abc", "authorization=***"),
        ("{'Authorization': 'Bearer abc', 'Host': 'x'}", "{'Authorization': '***', 'Host': 'x'}"),
        ("X-API-Key: abc", "X-API-Key: ***"),
        ("X-Finnhub-Token: abc, x", "X-Finnhub-Token: ***, x"),
        ("APCA-API-SECRET-KEY: abc", "APCA-API-SECRET-KEY: ***"),
        ("redis://:pass@host:6379/0", "redis://***@host:6379/0"),
        ("postgresql://me:p@ss@host/db", "postgresql://***@host/db"),
        ("https://token@host/x", "https://***@host/x"),
        ("redis://:pa#ss?@host", "redis://***@host"),
    ],
)
def test_what_is_named_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert redact(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "api_key: environment variable X is not set",
        "feeds.us.api_key: expected text, got 5",
        "the key is refused",
        "token expired",
        "monkey=1 turkey=2",
        "authorization failed",
        "https://example.org/@user/a:b@c",
        "https://example.org?mail=me@example.org",
        "http://127.0.0.1:9777/api/v1/prices",
        "AAPL 200.35 crossed above 200.00 at 09:31:02 New York",
        "mail me@example.org: x",
        "key=",
        "BTC/USD",
    ],
)
def test_harmless_text_is_left_alone(text: str) -> None:
    register(KEY)
    assert redact(text) == text


@given(
    st.lists(
        st.sampled_from(
            [
                *("password=", "token=", "Authorization: ", "://", "me:pass@", "***", "Bearer ", "abc", " ", "\\", '"'),
                *("'", "&", "\n", "key=", ",", "@", "/", KEY, "x-api-key: "),
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    register(KEY)
    once = redact(text)
    assert redact(once) == once


def test_a_hostile_text_takes_no_time() -> None:
    """Every pattern is linear: 200 kB of what a stranger may have built for it are through in some 10 ms."""
    register(KEY)
    register("%%\\\\\\//&&''k")
    pieces = ("a.", "x-", "://a:", "key=", "authorization ", "a" * 50 + ":", "://@")
    for piece in (*pieces, "%", "%25", "%2525", "\\", "\\u00", "&amp;", "k", "k%33", '"', "\\/", "&#000000"):
        started = time.process_time()
        redact(piece * (200_000 // len(piece)))
        assert time.process_time() - started < 2.0, piece
