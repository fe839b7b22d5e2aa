"""What docs/sinks.md says is tested is tested, and the other way round."""

import base64
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import to_json
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.settings import WebhookSinkSettings
from pricestreamd.sinks.webhook.sink import WebhookSink
from tests.support.receiver import Receiver
from tests.unit.sinks.samples import BEGIN, alert, update

ROOT = Path(__file__).parents[3]
ROOMS = ("sinks", "durable", "frozen", "stores", "stores_in_trouble", "webhook")
FAULTS = [ROOT / f"tests/faults/test_{name}.py" for name in ROOMS]
TESTS = [*(ROOT / "tests/unit/sinks").glob("test_*.py"), *(ROOT / "tests/unit/state").glob("test_*.py"), *FAULTS]
SUITE = ROOT / "tests/conformance/test_sinks.py"


def names_in(*paths: Path) -> set[str]:
    return {name for path in paths for name in re.findall(r"def (test_\w+)", path.read_text())}


def test_every_test_that_the_documentation_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/sinks.md").read_text()))
    assert named
    assert named <= names_in(SUITE, *TESTS)


def test_every_row_of_the_guarantees_and_every_must_names_its_test() -> None:
    text = (ROOT / "docs/sinks.md").read_text()
    for heading, least in (("## Guarantees", 25), ("## What every sink MUST do", 13)):
        section = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("|")][2:]
        assert len(rows) >= least
        for row in rows:
            assert re.search(r"`test_\w+`", row.rstrip("|").rpartition("|")[2]), row


def test_every_test_of_the_conformance_suite_is_a_must_of_the_documentation() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/sinks.md").read_text()))
    assert names_in(SUITE) - named == {"test_every_built_sink_is_in_this_suite"}


async def test_the_example_verifies_what_is_sent_and_nothing_else() -> None:
    example, _ = re.findall(r"```python\n(.*?)```", (ROOT / "docs/sinks.md").read_text(), re.DOTALL)
    assert len(example.strip().splitlines()) <= 11
    found: dict[str, object] = {}
    exec(example, found)
    verified = found["verified"]
    assert callable(verified)
    old, new, other = (f"whsec_{base64.b64encode(bytes([byte] * 32)).decode()}" for byte in range(3))
    async with Receiver() as receiver:
        for wall in (None, lambda: BEGIN):
            kept = Secret(f"{old} {new}")
            settings = WebhookSinkSettings(url=Secret(receiver.url), secret=kept, allow_private=True)
            sink = WebhookSink("hook", settings) if wall is None else WebhookSink("hook", settings, wall=wall)
            await sink.deliver([alert()])
            await sink.close()
        fresh, stale = receiver.accepted
    for secret in (old, new):
        assert verified(secret, fresh["headers"], fresh["raw"])
        assert not verified(secret, fresh["headers"], fresh["raw"] + b" ")
        assert not verified(secret, stale["headers"], stale["raw"])
    assert not verified(other, fresh["headers"], fresh["raw"])


async def test_the_example_of_a_sink_of_ones_own_delivers_each_event_once_and_fails_as_it_should(
    tmp_path: Path,
) -> None:
    _, example = re.findall(r"```python\n(.*?)```", (ROOT / "docs/sinks.md").read_text(), re.DOTALL)
    (tmp_path / "acme_sink.py").write_text(example)
    spec = spec_from_file_location("acme_sink", tmp_path / "acme_sink.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path / "there"
    sink = module.Acme("tape", module.AcmeSettings(folder=folder))
    await sink.open()
    await sink.open()
    await sink.deliver([])
    for _ in range(2):
        await sink.deliver([alert(), update(2)])
    (file,) = folder.iterdir()
    assert file.read_bytes().splitlines() == [to_json(alert()), to_json(update(2))]
    file.unlink()
    folder.rmdir()
    with pytest.raises(SinkError, match="No such file or directory") as caught:
        await sink.deliver([alert()])
    assert (caught.value.sink, caught.value.transient) == ("tape", True)
    await sink.close()
