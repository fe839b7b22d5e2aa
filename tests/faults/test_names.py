"""Names that lead into the void, rows H5 and H7: a name server that never answers, and an address that swallows all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.own_network import own_network

ROOT = Path(__file__).parents[2]


def found_by(program: str, folder: Path) -> dict[str, Any]:
    """What one of `network_programs` prints, in a network of its own."""
    command = [*own_network(folder), sys.executable, "-m", "tests.faults.network_programs", program, str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_h5_a_name_server_that_never_answers_holds_up_nothing_but_its_own_feed(tmp_path: Path) -> None:
    found = found_by("dead_names", tmp_path)
    # The row W4: the deadline of a dial begins before its name is looked up.
    assert found["dials"] >= 6
    assert found["other reasons"] == 0
    assert found["ticks"] > 100
    assert found["reconnects of the other"] == 0
    assert found["loops"] > 5
    # The two worst may be the machine's; a lookup on the loop would hold up every one of the dials.
    assert found["late loops"] <= 2
    # A lookup takes ten seconds, and whoever had to wait for one would wait as long.
    assert found["reload seconds"] < 2.0
    assert found["stop seconds"] < 2.0
    assert found["exit code"] == 0


def test_h7_an_ipv6_black_hole_costs_less_than_a_second(tmp_path: Path) -> None:
    found = found_by("black_hole", tmp_path)
    assert found["into the hole"] == "timeout"
    for kind in ("websocket", "sse", "poll"):
        assert 0.1 < found[kind] < 1.0
