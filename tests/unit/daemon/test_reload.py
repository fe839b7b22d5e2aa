"""A reload that cannot be read in time is refused, and the next one is not held up by it."""

import os
from pathlib import Path

import pytest

from pricestreamd.config.load import load
from pricestreamd.daemon.alive.sdnotify import ServiceManager
from pricestreamd.daemon.parts import build
from pricestreamd.daemon.reload import Reloader
from pricestreamd.daemon.reload_requests import ReloadRequests
from pricestreamd.daemon.running import Running
from pricestreamd.daemon.works import Works
from pricestreamd.http.problem import RefusalError

CONFIG = """
feeds: {us: {provider: iex, api_key: k, endpoint: "http://127.0.0.1:1", symbols: [AAPL]}}
state: {path: state.db}
plugin_paths: [.]
"""


async def nothing() -> None:
    pass


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def reloader(config: Path) -> Reloader:
    parts = build(load(config, environ=os.environ))
    works = Works(lambda _name, _crash: None)
    running = Running(works, lambda client: client.run, lost=lambda _message: None)
    return Reloader(parts, ServiceManager({}), running, applied=nothing, patience=0.3)


async def test_a_file_that_cannot_be_read_to_its_end_is_refused_and_the_next_is_read(config: Path) -> None:
    made = reloader(config)
    config.unlink()
    os.mkfifo(config)
    (problem,) = (await made.reload()).problems
    assert "reading it takes more than 0.3 s" in problem.message
    assert not made.outcome.successful
    config.unlink()
    config.write_text(CONFIG)
    assert (await made.reload()).problems == ()
    assert made.outcome.successful


async def test_a_module_that_hangs_at_its_import_is_refused_and_the_next_reload_works(config: Path) -> None:
    made = reloader(config)
    (config.parent / "hanging_hooks.py").write_text("import threading\nthreading.Event().wait(5)\n")
    config.write_text(CONFIG + "listeners: [{event: price.update, call: 'hanging_hooks:hear'}]\n")
    (problem,) = (await made.reload()).problems
    assert "importing what its listeners call takes more than 0.3 s" in problem.message
    config.write_text(CONFIG)
    assert (await made.reload()).problems == ()


@pytest.mark.parametrize("ending", ["SystemExit(3)", "KeyboardInterrupt", "StopIteration"])
async def test_a_module_that_wants_to_end_the_process_at_its_import_is_refused(config: Path, ending: str) -> None:
    made = reloader(config)
    name = f"ending_{ending[:6].lower()}"
    (config.parent / f"{name}.py").write_text(f"raise {ending}\n")
    config.write_text(CONFIG + f"listeners: [{{event: price.update, call: '{name}:hear'}}]\n")
    (problem,) = (await made.reload()).problems
    assert problem.key == "listeners[0].call"
    assert ending.partition("(")[0] in problem.message


async def test_nobody_waits_for_a_reload_of_a_daemon_that_ends() -> None:
    requests = ReloadRequests()
    with requests:
        requests.ask()
        await requests.wait()
    with pytest.raises(RefusalError) as raised:
        await requests.report()
    assert raised.value.status == 503
