"""The files for service managers: they name the exit codes of the contract, and systemd finds nothing wrong in them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "price-stream.service"
TEMPLATE = UNIT.with_name("price-stream@.service")
USERS = ROOT / "deploy" / "sysusers" / "price-stream.conf"
PROGRAM = ROOT / "deploy" / "supervisor" / "price-stream.conf"
COMMAND = "/opt/price-stream/current/bin/pricestreamd run --config /etc/price-stream/config.yaml"

# Starting again with the same arguments, key, state and configuration ends the same way.
NOT_AGAIN = {64, 69, 73, 78}
LOST_AT_DEADLINE = 75
# `shutdown_timeout` of the configuration, unless it is set.
SHUTDOWN_SECONDS = 10
# In tenths: what `systemd-analyze security` may say at most.
EXPOSURE = 13

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here")


def unit() -> dict[str, list[str]]:
    """Directive to its values, in order; systemd reads a directive as often as it is written."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def program() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(" ;",))
    parser.read_string(PROGRAM.read_text(encoding="utf-8"))
    return parser["program:price-stream"]


def numbers(text: str, separator: str | None = None) -> set[int]:
    return set(map(int, text.split(separator)))


# --- systemd


def test_the_unit_starts_the_daemon_and_waits_for_its_readiness() -> None:
    found = unit()

    assert found["ExecStart"] == [COMMAND]
    assert found["Type"] == ["notify"]
    assert found["NotifyAccess"] == ["main"]
    # It waits, and its exit code is what came of it: a signal tells nothing.
    assert found["ExecReload"] == [COMMAND.replace(" run ", " reload ")]
    assert found["User"] == found["Group"] == ["price-stream"]


def test_the_unit_starts_again_unless_that_is_of_no_use() -> None:
    found = unit()

    assert found["Restart"] == ["always"]
    assert found["RestartSec"] == ["5"]
    assert found["StartLimitIntervalSec"] == ["0"]
    assert numbers(found["RestartPreventExitStatus"][0]) == NOT_AGAIN
    assert numbers(found["SuccessExitStatus"][0]) == {LOST_AT_DEADLINE}


def test_the_unit_gives_the_daemon_its_three_directories_and_time_to_drain() -> None:
    found = unit()

    for directory in ("StateDirectory", "RuntimeDirectory", "ConfigurationDirectory"):
        assert found[directory] == ["price-stream"]
    assert int(found["TimeoutStopSec"][0]) > SHUTDOWN_SECONDS
    assert int(found["WatchdogSec"][0]) == 30
    assert "PYTHONFAULTHANDLER=1" in found["Environment"][0].split()


def test_the_unit_keeps_keys_out_of_core_files_and_the_process_start_time_readable() -> None:
    found = unit()

    assert found["LimitCORE"] == ["0"]
    assert "ProcSubset" not in found
    assert "#LoadCredential=twelvedata:/etc/price-stream/credentials/twelvedata" in UNIT.read_text(encoding="utf-8")


def test_the_template_differs_in_what_is_an_instance_s_own_and_nothing_else() -> None:
    def lines(path: Path) -> list[str]:
        _, _, settings = path.read_text(encoding="utf-8").partition("[Unit]")
        return settings.splitlines()

    own = [(ours, theirs) for ours, theirs in zip(lines(UNIT), lines(TEMPLATE), strict=True) if ours != theirs]

    assert {theirs.partition("=")[0] for _, theirs in own} == {
        *("Description", "ExecStart", "ExecReload", "EnvironmentFile", "StateDirectory", "RuntimeDirectory"),
        "SyslogIdentifier",
    }
    for ours, theirs in own:
        assert "%i" in theirs and "%i" not in ours


def test_the_user_is_the_one_of_the_unit_and_cannot_log_in() -> None:
    (line,) = (line for line in USERS.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    assert line.split()[:2] == ["u", unit()["User"][0]]
    assert line.split()[-2:] == ["/var/lib/price-stream", "/usr/sbin/nologin"]


@needs_systemd
def test_systemd_finds_nothing_wrong_in_the_unit(tmp_path: Path) -> None:
    # It also asks whether the program is there: another one stands in for it.
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    for command in (COMMAND, COMMAND.replace(" run ", " reload ")):
        text = text.replace(command, "/bin/true")
    # Nor are its manual pages.
    text = re.sub(r"man:\S+ ", "", text)
    copy.write_text(text, encoding="utf-8")

    checked = subprocess.run([str(ANALYZE), "verify", str(copy)], capture_output=True, text=True, check=False)

    if "Failed to initialize manager" in checked.stderr:
        pytest.skip(f"systemd-analyze verify does not run here: {checked.stderr.strip()}")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.parametrize("path", [UNIT, TEMPLATE], ids=["unit", "template"])
def test_the_unit_exposes_little(path: Path) -> None:
    checked = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    if "unrecognized option" in checked.stderr:
        pytest.skip("this systemd-analyze is older than --offline (250)")
    assert checked.returncode == 0, checked.stdout[-200:] + checked.stderr


# --- supervisor


def test_supervisor_starts_the_daemon_as_its_user_with_a_place_for_its_state() -> None:
    found = program()

    assert found["command"] == COMMAND
    assert found["user"] == "price-stream"
    assert 'STATE_DIRECTORY="/var/lib/price-stream"' in found["environment"]
    assert found.getboolean("redirect_stderr")


def test_supervisor_starts_again_unless_that_is_of_no_use() -> None:
    found = program()

    assert found["autorestart"] == "unexpected"
    assert numbers(found["exitcodes"], ",") == NOT_AGAIN | {0}
    # Within a starting time it would start again whatever the exit code.
    assert found.getint("startsecs") == 0


def test_supervisor_gives_time_to_drain_and_leaves_nothing_behind() -> None:
    found = program()

    assert int(found["stopwaitsecs"]) > SHUTDOWN_SECONDS
    assert found["stopsignal"] == "TERM"
    assert not found.getboolean("stopasgroup")
    assert found.getboolean("killasgroup")


def test_both_managers_run_the_same_command_and_agree_on_exit_codes() -> None:
    assert unit()["ExecStart"] == [program()["command"]]
    assert numbers(unit()["RestartPreventExitStatus"][0]) == numbers(program()["exitcodes"], ",") - {0}
