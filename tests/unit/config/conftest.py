"""Loading a configuration from a text."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pricestreamd.config.load import Loaded, load
from pricestreamd.model.errors import ConfigError

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a text as `c.yaml` of a folder of its own; keywords are the environment."""

    def loaded(text: str | bytes, *, feeds_required: bool = False, **environ: str) -> Loaded:
        path = tmp_path / "c.yaml"
        content = text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode()
        path.write_bytes(content)
        environ = {"STATE_DIRECTORY": str(tmp_path / "state"), **environ}
        return load(path, environ=environ, feeds_required=feeds_required)

    return loaded


@pytest.fixture
def problems_of(load_text: Load, tmp_path: Path) -> Problems:
    """The problems of a text, each as a line without the folder."""

    def problems(text: str | bytes, **keywords: str | bool) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            load_text(text, **keywords)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in raised.value.problems]

    return problems


@pytest.fixture
def warnings_of(load_text: Load, tmp_path: Path) -> Problems:
    """The warnings of a text that can be used, each as a line without the folder."""

    def warnings(text: str | bytes, **keywords: str | bool) -> list[str]:
        return [str(warning).replace(f"{tmp_path}/", "") for warning in load_text(text, **keywords).warnings]

    return warnings
