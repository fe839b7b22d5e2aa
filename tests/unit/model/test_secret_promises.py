"""Whatever a secret is and wherever it stands: no form of it survives, and ordinary text is left alone."""

import ast
import base64
import html
import json
import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, unquote_plus

import aiohttp
import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from yarl import URL

from pricestreamd.model import secret
from pricestreamd.model.secret import MASK, Secret, redact, register
from tests.support.raw_http import RawHttp, answer, ending

# Letters of all kinds, what every escape changes, and nothing that is cut off at the ends.
KEYS = st.text(
    st.one_of(
        st.sampled_from("abcXYZ0189-_.~+/=&%?#@:;,'\"\\<>$*()! \n\t"),
        st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")),
        st.sampled_from("€漢😀"),
    ),
    min_size=8,
    max_size=40,
).filter(lambda text: len(text.strip()) >= 8 and "***" not in text)
AROUND = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")), max_size=30)


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    before = list(secret._known)
    secret._known.clear()
    yield
    secret._known[:] = before


def in_base64(encode: Callable[[bytes], bytes]) -> Callable[[str, str, str], str]:
    return lambda key, before, after: encode(f"{before}{key}{after}".encode()).decode()


# How a text with the key in it goes out: each gives what a reader would see, made by somebody else's code.
WAYS: dict[str, Callable[[str, str, str], str]] = {
    "as it is": lambda key, before, after: f"{before}{key}{after}",
    "percent-encoded": lambda key, before, after: f"{before}{quote(key, safe='')}{after}",
    "percent-encoded in lower case": lambda key, before, after: (
        f"{before}{re.sub('%..', lambda code: code[0].lower(), quote(key, safe=''))}{after}"
    ),
    "percent-encoded twice": lambda key, before, after: f"{before}{quote(quote(key, safe=''), safe='')}{after}",
    "as a form": lambda key, before, after: f"{before}{quote_plus(key)}{after}",
    "as a path": lambda key, before, after: f"{before}{quote(key)}{after}",
    "by yarl, in a query": lambda key, before, after: f"{before}{URL('wss://x.test/').with_query({'q': key})}{after}",
    "in JSON": lambda key, before, after: json.dumps({"a": f"{before}{key}{after}"}),
    "in JSON with its letters": lambda key, before, after: json.dumps([f"{before}{key}{after}"], ensure_ascii=False),
    "in JSON by msgspec": lambda key, before, after: msgspec.json.encode([f"{before}{key}{after}"]).decode(),
    "in JSON in JSON": lambda key, before, after: json.dumps({"frame": json.dumps({"k": f"{before}{key}{after}"})}),
    "as Python shows it": lambda key, before, after: repr([f"{before}{key}{after}"]),
    "as bytes that Python shows": lambda key, before, after: f"{before}{key.encode()!r}{after}",
    "taken for Latin-1": lambda key, before, after: f"{before}{after}".join(("", key.encode().decode("latin-1"))),
    "in ASCII": lambda key, before, after: f"{before}{key}{after}".encode("ascii", "backslashreplace").decode(),
    "in HTML": lambda key, before, after: f"<p>{html.escape(f'{before}{key}{after}')}</p>",
    "as credentials": lambda key, before, after: f"Basic {base64.b64encode(f'me:{key}'.encode()).decode()}",
    "in base64": in_base64(base64.b64encode),
    "in base64 for URLs": in_base64(base64.urlsafe_b64encode),
    "in base64 without padding": lambda key, before, after: in_base64(base64.b64encode)(key, before, after).rstrip("="),
}


def core_of(way: str, key: str) -> list[str]:
    """What must not be left of the key, in any reading of the text."""
    if "base64" in way or way == "as credentials":
        # All but the characters at both ends, which may be a neighbour's too.
        raw = key.encode()
        return [
            encode(b"-" * shift + raw).decode()[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
            for shift in range(3)
        ]
    return [key, json.dumps(key)[1:-1], quote(key, safe=""), quote_plus(key)]


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=60)
@given(key=KEYS, before=AROUND, after=AROUND)
@example(key="quo'ted\"and\\back", before="", after="'")
@example(key="k3y/with+odd=chars&more", before="a", after="b")
@example(key="line one\nline two", before="", after="")
def test_no_form_of_a_secret_survives(way: str, key: str, before: str, after: str) -> None:
    assume(key not in f"{before} {after}")
    secret._known.clear()
    register(key)
    written = WAYS[way](key, before, after)
    hidden = redact(written)
    assert MASK in hidden
    for reading in (hidden, unquote_plus(hidden), html.unescape(hidden)):
        for core in core_of(way, key):
            # What is around the secret may hold the same letters by chance.
            assert reading.count(core) <= f"{before} {after}".count(core), core


@settings(max_examples=200)
@given(key=KEYS, before=AROUND, after=AROUND)
def test_json_stays_json_when_a_secret_is_taken_out_of_its_texts(key: str, before: str, after: str) -> None:
    secret._known.clear()
    Secret(key)
    line = json.dumps({"message": f"{before}{key}{after}"})
    assert json.loads(redact(line)).keys() == {"message"}


PRICE_LINES = st.builds(
    "{} {:.2f} -> {:.2f} ({:+.2f} %) at {:02d}:{:02d} New York, volume {}, feed {}, sequence {}".format,
    st.sampled_from(["AAPL", "BTC/USD", "BRK.B", "EUR/USD", "^GSPC", "0700.HK"]),
    st.floats(0.01, 1e6),
    st.floats(0.01, 1e6),
    st.floats(-99, 99),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 10**9),
    st.sampled_from(["us-stocks", "coins", "stocks-2"]),
    st.integers(0, 10**12),
)


@given(line=PRICE_LINES, key=st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=16))
def test_a_line_of_prices_is_left_alone(line: str, key: str) -> None:
    secret._known.clear()
    register(key)
    assert redact(line) == line
    as_json = json.dumps({"event": "price.update", "message": line, "id": "65f0c3a1b2c4-1042"})
    assert redact(as_json) == as_json


@pytest.mark.parametrize(
    ("registered", "shown"),
    [
        ("first line of it\nsecond line of it\n", "the second line of it, indented"),
        (" padded-secret ", "padded-secret"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("whsec_MfKQ9r8GKYqrTwjU whsec_PD8ILPZIo2LaLaSw", "only whsec_PD8ILPZIo2LaLaSw"),
    ],
)
def test_parts_that_stand_alone_are_hidden(registered: str, shown: str) -> None:
    register(registered)
    assert MASK in redact(shown)
    assert registered.rsplit(maxsplit=1)[-1] not in redact(shown)


def test_a_text_with_a_common_word_for_a_first_line_keeps_its_words() -> None:
    register("no\nsecret-of-two-lines\n")
    assert redact("no line of it: secret-of-two-lines") == "no line of it: ***"


def test_a_secret_that_could_be_one_and_is_none_is_not_hidden() -> None:
    place = Secret("redis://127.0.0.1:6379/0", known=False)
    assert repr(place) == MASK
    assert redact("redis://127.0.0.1:6379/0 is away") == "redis://127.0.0.1:6379/0 is away"


def test_texts_of_events_cost_next_to_nothing_whatever_is_registered() -> None:
    """Thirty secrets with every kind of odd letter in them: a name takes microseconds, a log line less than a tenth of
    a millisecond; the bounds leave room for a busy machine.
    """
    for number in range(30):
        register(f"k3y/{number:03d}+odd=ch&rs<ü>'\"and\\more")
    for text, bound in (("us-stocks", 0.00005), ("price.update of AAPL in feed us-stocks " * 8, 0.002)):
        best = min(_seconds(text) for _ in range(5))
        assert best < bound, (text, best)


def _seconds(text: str) -> float:
    started = time.perf_counter()
    for _ in range(20):
        redact(text)
    return (time.perf_counter() - started) / 20


def test_a_form_that_python_shows_is_one_that_python_reads() -> None:
    """The oracle of `as Python shows it`: the text around a hidden secret is still a literal."""
    register('it\'s "quoted"\\')
    assert ast.literal_eval(redact(repr(['a it\'s "quoted"\\ b']))) == ["a *** b"]


@pytest.mark.parametrize("status", [401, 403, 429, 503])
@pytest.mark.parametrize("known", [True, False])
async def test_t1_the_address_in_an_error_of_aiohttp_is_hidden(status: int, known: bool) -> None:
    """Text and repr of its error for a refused upgrade hold the whole address, key included."""
    key = "k3y-in-a-query"
    if known:
        register(key)
    async with RawHttp(ending(answer(status))) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(server.url(f"/prices?apikey={key}&symbol=AAPL"))
    for told in (str(refused.value), repr(refused.value)):
        assert key in told
        assert key not in redact(told)
        assert "symbol=AAPL" in redact(told)
