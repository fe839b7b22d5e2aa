"""The daemon's life under systemd: readiness, status, crashes, hangs, ends, exit codes, credentials, its journal."""

import json
import re
from collections.abc import Callable

from tests.systemd.service import ETC, PROGRAM, SIMULATOR_PORT, Service, feed, simulator

# Of journald, for each level of the log.
PRIORITIES = {"debug": "7", "info": "6", "warning": "4", "error": "3", "critical": "2"}
HANG = """\
import pathlib
import time


def when_asked(event):
    if pathlib.Path("/run/price-stream/hang").exists():
        time.sleep(3600)
"""
HANGING = f"""\
plugin_paths: [{ETC}/plugins]
listeners: [{{event: price.update, call: "hang:when_asked"}}]
"""


def test_start_returns_when_it_is_ready_and_the_status_line_can_be_read(service: Service) -> None:
    service.configure(feed())

    service.ask("start")

    assert service.show("ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}
    service.live()
    status = service.show("StatusText")["StatusText"]
    assert re.search(r"1/1 feeds? live", status), status
    assert status in service.machine.run("systemctl", "status", "--no-pager", service.unit).stdout


def test_kill_9_is_recovered(service: Service) -> None:
    pid = service.started(feed())

    service.machine.run("kill", "-KILL", str(pid))

    service.live(other_than=pid)
    assert service.show("NRestarts") == {"NRestarts": "1"}
    service.said("code=killed, status=9/KILL")


def test_sigstop_is_recovered_by_the_watchdog(service: Service) -> None:
    pid = service.started(feed())

    service.machine.run("kill", "-STOP", str(pid))

    service.live(other_than=pid)
    service.said("Watchdog timeout")


def test_a_hung_loop_is_killed_by_the_watchdog_and_leaves_its_stack_in_the_journal(service: Service) -> None:
    plugins = service.machine.root / "etc/price-stream/plugins"
    plugins.mkdir(exist_ok=True)
    (plugins / "hang.py").write_text(HANG)
    pid = service.started(feed() + HANGING)

    (service.machine.root / "run/price-stream/hang").touch()

    # The restart makes the folder anew, without that file.
    service.live(other_than=pid)
    # As the interpreter prints it, from a signal: no line of the log, for whose writing nobody was left.
    service.said(f'File "{ETC}/plugins/hang.py", line 7 in when_asked')
    assert service.show("NRestarts") == {"NRestarts": "1"}


def test_a_silent_provider_is_no_reason_to_restart(service: Service) -> None:
    port = 9781
    unit = simulator(service.machine, port)
    pid = service.started(feed(port=port))

    service.machine.run("systemctl", "stop", unit)

    # Longer than the watchdog waits.
    service.machine.until(lambda: "1/1" not in service.show("StatusText")["StatusText"], 15)
    stamp = service.show("WatchdogTimestampMonotonic")
    service.machine.until(lambda: service.show("WatchdogTimestampMonotonic") != stamp)
    assert service.show("MainPID", "NRestarts") == {"MainPID": str(pid), "NRestarts": "0"}


def test_stop_drains_and_exits_0(service: Service) -> None:
    batch = "batch: {size: 100000, interval: 1h}"
    sink = f"sinks: {{all: {{type: file, path: events.jsonl, events: [price.update], {batch}}}}}\n"
    service.started(feed() + sink)
    written = service.machine.root / "var/lib/price-stream/events.jsonl"
    assert not written.exists() or written.stat().st_size == 0

    service.ask("stop")

    assert service.show("ActiveState", "Result", "ExecMainStatus") == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
    }
    assert all(json.loads(line)["event"] == "price.update" for line in written.read_text().splitlines())
    assert len(written.read_text().splitlines()) > 1


def test_a_bad_configuration_ends_with_78_and_is_not_tried_again(service: Service) -> None:
    service.configure(feed() + "stream: {min_change_percent: much}\nalert: []\n")

    assert service.ask("start", check=False) != 0

    assert service.ended() == {"Result": "exit-code", "ExecMainStatus": "78", "NRestarts": "0"}
    told = "\n".join(service.messages())
    assert f"{service.config}:9:30" in told
    assert f"{service.config}:10:1" in told


def test_a_refused_key_ends_with_69_and_is_not_tried_again(service: Service) -> None:
    port = 9782
    simulator(service.machine, port, "--api-key", "another")
    service.configure(feed(port=port, key="api_key: a-wrong-key"))

    # It was ready: that a provider refuses is found out after that.
    service.ask("start")

    assert service.ended() == {"Result": "exit-code", "ExecMainStatus": "69", "NRestarts": "0"}
    assert "a-wrong-key" not in json.dumps(service.journal())


def test_a_locked_state_ends_with_73_names_the_holder_and_is_not_tried_again(
    service: Service, instance: Callable[[str], Service]
) -> None:
    pid = service.started(feed())
    second = instance("second")
    # Another service that is given the same folder, by mistake.
    second.drop_in("state", "[Service]\nStateDirectory=\nStateDirectory=price-stream\n")
    second.configure(feed() + 'http: {listen: "unix:/run/price-stream-second/http.sock"}\n')

    assert second.ask("start", check=False) != 0

    assert second.ended() == {"Result": "exit-code", "ExecMainStatus": "73", "NRestarts": "0"}
    second.said(str(pid))
    assert service.live() == pid


def test_credentials_are_read_at_the_start_and_at_a_reload(service: Service) -> None:
    port, key = 9783, "key-of-a-credential"
    simulator(service.machine, port, "--api-key", key)
    credentials = service.machine.root / "etc/price-stream/credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "twelvedata").write_text(key)
    (credentials / "twelvedata").chmod(0o600)
    service.drop_in("key", f"[Service]\nLoadCredential=twelvedata:{ETC}/credentials/twelvedata\n")

    pid = service.started(feed(port=port, key="api_key_file: ${CREDENTIALS_DIRECTORY}/twelvedata"))
    service.ask("reload")

    assert service.live() == pid
    environment = (service.machine.root / f"proc/{pid}/environ").read_bytes()
    assert b"CREDENTIALS_DIRECTORY=/run/credentials/price-stream.service" in environment
    assert key.encode() not in environment
    assert key not in json.dumps(service.journal())


def test_every_line_of_the_journal_is_json_with_the_priority_of_its_level(service: Service) -> None:
    service.started(feed())
    service.configure("feeds: 1\n")
    # What it refuses it logs as errors.
    service.machine.run("systemctl", "kill", "--signal=HUP", service.unit)
    service.said("feeds")
    service.configure(feed())
    service.ask("stop")

    entries = [entry for entry in service.journal() if entry.get("_TRANSPORT") == "stdout"]

    lines = [json.loads(entry["MESSAGE"]) for entry in entries]
    assert all(line["message"] and line["@timestamp"].endswith("Z") for line in lines)
    assert [PRIORITIES[line["log.level"]] for line in lines] == [entry["PRIORITY"] for entry in entries]
    assert {"info", "error"} <= {line["log.level"] for line in lines}
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"price-stream"}


def test_without_a_network_it_is_ready_all_the_same_and_catches_up(service: Service) -> None:
    machine, port, address = service.machine, 9784, "192.0.2.10"
    # The machine has no network but the loopback, so there is no way to that address.
    service.configure(feed(port=port).replace("127.0.0.1", address) + "    allow_plaintext: true\n")
    service.ask("start")
    pid = service.show("MainPID")["MainPID"]
    service.said("attempt 2 in")
    machine.until(lambda: "0/1" in service.show("StatusText")["StatusText"])

    machine.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    simulator(machine, port, host=address)

    assert str(service.live()) == pid
    assert service.show("NRestarts") == {"NRestarts": "0"}


def test_it_runs_as_its_user_and_sees_nothing_of_others(service: Service) -> None:
    pid = service.started(feed())

    status = service.machine.run("cat", f"/proc/{pid}/status").stdout
    user = service.machine.run("id", "-u", "price-stream").stdout.strip()

    assert re.search(r"Uid:\s+(\d+)", status)[1] == user  # type: ignore[index]  # it has one
    assert re.search(r"CapEff:\s+0+\n", status)
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert re.search(r"Seccomp:\s+2", status)
    modes = service.machine.run("stat", "-c", "%U %a", "/var/lib/price-stream", "/run/price-stream/http-token").stdout
    assert modes == "price-stream 750\nprice-stream 600\n"


def test_commands_find_the_daemon_by_its_configuration(service: Service) -> None:
    service.started(feed())

    assert "good" in service.machine.run("pricestreamd", "check", "--config", service.config).stdout
    assert service.told("status")
    service.machine.run(PROGRAM, "symbols", "add", "GOOGL", "--config", service.config)
    symbols = {row["symbol"] for row in service.told("symbols", "list")["symbols"]}
    assert symbols == {"AAPL", "MSFT", "GOOGL"}
    assert SIMULATOR_PORT == 9778
