"""Reading names out of Host headers and addresses."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.access import Access, host_name
from pricestreamd.http.settings import HttpSettings
from pricestreamd.model.secret import Secret


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost.:9777", "localhost"),
        ("127.0.0.1:9777", "127.0.0.1"),
        ("[::1]:9777", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[FE80::1]:1", "fe80::1"),
        (" dash.example ", "dash.example"),
        ("", ""),
        (":9777", ""),
        ("[", ""),
        ("evil.example:80@localhost", "evil.example"),
        ("localhost@evil.example", "localhost@evil.example"),
        ("localhost/evil", "localhost/evil"),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


SIGNS = st.text("[]: .@/e1", max_size=4)


@given(st.text() | st.builds("{}{}{}".format, SIGNS, st.sampled_from(["localhost", "LocalHost"]), SIGNS))
def test_no_text_breaks_it_and_no_foreign_name_becomes_ours(text: str) -> None:
    ours = re.fullmatch(r"\[localhost(\].*)?|localhost\.*(:[^:]*)?", text.strip().lower(), re.DOTALL)
    assert (host_name(text) == "localhost") is (ours is not None)


@pytest.mark.parametrize(
    ("listen", "names"),
    [
        ("127.0.0.1:9777", set()),
        ("unix:/run/x.sock", set()),
        (":9777", set()),
        ("Prices.Example:9777", {"prices.example"}),
        ("[fe80::1]:9777", {"fe80::1"}),
    ],
)
def test_we_answer_to_loopback_names_what_we_listen_on_and_what_is_allowed(listen: str, names: set[str]) -> None:
    access = Access(HttpSettings(listen=listen, allowed_hosts=("dash.example:8443",)))
    assert access._names == {"localhost", "127.0.0.1", "::1", "dash.example"} | names


def test_the_token_itself_is_not_kept() -> None:
    access = Access(HttpSettings(auth_token=Secret("a long enough token")))
    assert "a long enough token" not in repr(vars(access))
