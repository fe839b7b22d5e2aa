"""Manual pages and completion are made from the program: nothing that it has is missing in them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pricestreamd.cli.main import COMMANDS, program_parser
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import settings_of
from tests.unit.config.test_rules import every_class
from tools import manual
from tools.completion import completion
from tools.options import commands, options

PAGES = {"pricestreamd.8": manual.program_page, "pricestreamd.yaml.5": manual.configuration_page}


def text(name: str) -> str:
    """A page without its roff."""
    page = "\n".join(PAGES[name]())
    return page.replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def test_the_manual_has_every_command_and_every_option() -> None:
    page = text("pricestreamd.8")
    found = dict(commands(program_parser()))

    assert {name.partition(" ")[0] for name in found} == set(COMMANDS)
    for name, parser in found.items():
        (section,) = re.findall(rf'^\.SS "{re.escape(name)}"\n(.*?)(?=^\.S[SH] |\Z)', page, re.MULTILINE | re.DOTALL)
        for option in options(parser):
            assert all(word in section for word in option.option_strings), (name, option.option_strings)


def test_the_manual_has_every_signal_and_every_exit_code() -> None:
    page = text("pricestreamd.8")
    status = page.partition('.SH "EXIT STATUS"')[2].partition(".SH")[0]

    assert re.findall(r"\\fB(\d+)\\fR", status) == ["0", "64", "69", "70", "71", "73", "75", "78"]
    assert all(signal in page for signal in ("SIGTERM, SIGINT", "SIGHUP", "SIGUSR1"))


def test_the_manual_has_every_key_of_the_configuration_once() -> None:
    page = text("pricestreamd.yaml.5")
    places = re.findall(r"^\\fB(.*?)\\fR$", page, re.MULTILINE)
    sections = re.findall(r'^\.SH "(.*)"$', page, re.MULTILINE)
    last = {place.rpartition(".")[2] for place in places} | {section.lower() for section in sections}

    assert {key for cls in every_class(Settings) for key in settings_of(cls)} - last == set()
    # What sinks have alike is told once, not for each type of them.
    assert places.count("sinks.NAME.type") == places.count("sinks.NAME.symbols") == 1
    assert "sinks.NAME.path" in places


@pytest.mark.parametrize("name", PAGES)
def test_man_finds_nothing_wrong_in_a_page(name: str, tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not here")
    path = tmp_path / name
    path.write_text("\n".join(PAGES[name]()) + "\n")

    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)

    assert shown.stderr == ""


def test_no_text_is_taken_for_a_request_of_the_formatter() -> None:
    assert manual.escaped(".SH\n'x \\- -v") == "\\&.SH\n\\&'x \\e\\- \\-v"


def test_the_shells_take_the_completion_and_it_knows_deep_commands() -> None:
    bash = completion("bash")
    if shutil.which("bash") is not None:
        subprocess.run(["bash", "-n"], input=bash, text=True, check=True)
    for shell in (bash, completion("zsh")):
        for word in (*COMMANDS, "--change-percent", "--what-if", "--list-scenarios"):
            assert word in shell
    # Values that are files are completed as such.
    assert "_shtab_compgen_files" in bash
