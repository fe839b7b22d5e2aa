"""Providers by name: ours, and those that installed distributions bring."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pricestreamd.feeds.settings import PROVIDERS
from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import Terms
from pricestreamd.providers.catalogue import BUILT_IN, create, profile, provider_names
from pricestreamd.providers.description import Description
from tests.support.distribution import install

PLUGIN = """
    from pricestreamd.providers.iex import PROFILE, Iex
    from dataclasses import replace

    class Acme(Iex):
        profile = replace(PROFILE, name="acme")
"""


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_provider_can_be_made_by_its_name(name: str) -> None:
    description = Description(subscribe="{symbols}") if name == "generic" else None
    adapter = create(
        name, Terms(feed="f", api_key=Secret("some-key"), endpoint="wss://example.org/x", description=description)
    )
    assert adapter.profile == profile(name, description)
    assert adapter.profile.name == name
    assert adapter.feed == "f"
    assert name in PROVIDERS
    assert name in provider_names()


def test_names_are_in_alphabetical_order() -> None:
    assert list(BUILT_IN) == sorted(BUILT_IN)
    assert list(provider_names()) == sorted(provider_names())


@pytest.mark.parametrize(("name", "hint"), [("twelvdata", "did you mean 'twelvedata'"), ("zzz", "there are: alphavan")])
def test_an_unknown_provider_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        create(name)
    with pytest.raises(ValueError, match="unknown provider"):
        profile(name)


# What installed distributions do is shown by an interpreter that finds them, as any other would.


def told(folder: Path, code: str) -> str:
    """What a program prints that finds the distributions in `folder`."""
    code = "from pricestreamd.providers.catalogue import BUILT_IN, create, profile, provider_names\n" + textwrap.dedent(
        code
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": f"{folder}:{Path(__file__).parents[3]}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refusal(folder: Path, name: str) -> str:
    """Why provider `name` cannot be used; the built-in ones can be, all the same."""
    return told(
        folder,
        f"""
        try:
            create({name!r})
        except ValueError as error:
            print(error)
        assert create("twelvedata").profile.name == "twelvedata"
        assert {name!r} in provider_names()
        """,
    )


def test_a_distribution_brings_a_provider(tmp_path: Path) -> None:
    install(tmp_path, "acme", "acme_plugin:Acme", acme_plugin=textwrap.dedent(PLUGIN))
    assert told(
        tmp_path,
        """
        import sys
        print(*sorted(set(provider_names()) - set(BUILT_IN)))
        print("acme_plugin" in sys.modules)
        print(profile("acme").name, type(create("acme")).__name__, create("acme").profile is profile("acme"))
        """,
    ).split("\n") == ["acme", "False", "acme Acme True"]


def test_a_name_that_is_nearly_that_of_a_plugin_is_told_so(tmp_path: Path) -> None:
    install(tmp_path, "acme", "acme_plugin:Acme", acme_plugin=textwrap.dedent(PLUGIN))
    assert "did you mean 'acme'?" in told(
        tmp_path,
        """
        try:
            profile("acmee")
        except ValueError as error:
            print(error)
        """,
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'acme_plugin'"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("class Acme(", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('https://x.org/?apikey=hush')", "RuntimeError: https://x.org/?apikey=***"),
        ("Other = 1", "AttributeError: module 'acme_plugin' has no attribute 'Acme'"),
        ("Acme = 5", "acme_plugin:Acme is no Adapter"),
        ("class Acme: profile = None", "acme_plugin:Acme is no Adapter"),
        ("from pricestreamd.providers.iex import Iex as Acme", "acme_plugin:Acme has no profile of that name"),
        (
            "from pricestreamd.providers.base import Adapter\nclass Acme(Adapter): pass",
            "acme_plugin:Acme lacks connect_params, decode, encode_subscribe, encode_unsubscribe, from_native, to_native",
        ),
    ],
)
def test_a_broken_plugin_is_told_of_by_its_distribution_and_breaks_nobody_else(
    tmp_path: Path, code: str | None, reason: str
) -> None:
    install(tmp_path, "acme", "acme_plugin:Acme", **({} if code is None else {"acme_plugin": code}))
    trouble = "provider 'acme' of the distribution acme-acme 1.0 cannot be used: "
    assert refusal(tmp_path, "acme").startswith(trouble + reason)


def test_a_plugin_cannot_stand_in_for_a_provider_of_ours(tmp_path: Path) -> None:
    install(tmp_path, "twelvedata", "acme_plugin:Acme", acme_plugin="raise SystemExit('imported')")
    assert told(tmp_path, "print(type(create('twelvedata')).__module__, provider_names() == BUILT_IN)") == (
        "pricestreamd.providers.twelvedata True"
    )


def test_a_name_that_two_distributions_have_is_nobodys(tmp_path: Path) -> None:
    install(tmp_path, "acme", "acme_plugin:Acme", acme_plugin=textwrap.dedent(PLUGIN))
    install(tmp_path, "acme", "other_plugin:Acme", distribution="too", other_plugin=textwrap.dedent(PLUGIN))
    assert refusal(tmp_path, "acme") in [
        f"provider 'acme' of the distribution {both} cannot be used: more than one has it"
        for both in ("acme-acme 1.0, too 1.0", "too 1.0, acme-acme 1.0")
    ]
