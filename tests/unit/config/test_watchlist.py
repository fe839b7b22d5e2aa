"""What a watchlist of the file must be."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.config.conftest import Load, Problems

FEED = "feeds: {us: {provider: twelvedata, api_key: '${K}', watchlist: %s}}"
GOOD = "{sql: {url: '${URL}', query: 'SELECT 1'}}"


@pytest.mark.parametrize(
    ("watchlist", "told"),
    [
        ("{refresh: 5s}", "us.watchlist: a watchlist needs file, or sql with url and query"),
        ("{file: null, sql: null}", "us.watchlist: a watchlist needs file, or sql with url and query"),
        (
            "{sql: {url: 'sqlite:///a', query: q}, file: a}",
            "us.watchlist.file: there is sql already; keep one of the two",
        ),
        (
            "{sql: {url: 'sqlite://a.db', query: q}}",
            "us.watchlist.sql.url: expected sqlite:///relative.db (three slashes) or sqlite:////absolute.db (four)",
        ),
        (
            "{sql: {url: 'mysql://u:p@h/d', query: q}}",
            "us.watchlist.sql.url: expected sqlite:///path.db or postgresql://user:password@host/database",
        ),
        (
            "{sql: {url: 'postgresql://u:pa/ss@h/d', query: q}}",
            (
                "us.watchlist.sql.url: in user name and password : / ? # [ ] @ are written as "
                "%3A %2F %3F %23 %5B %5D %40"
            ),
        ),
        ("{sql: {url: w.db, query: q}}", "us.watchlist.sql.url: expected an address such as scheme://host/path"),
        (
            "{sql: {url: 'sqlite:///a', query: ' '}}",
            "us.watchlist.sql.query: expected a query such as SELECT symbol FROM watchlist",
        ),
        ("{file: w, refresh: 100ms}", "us.watchlist.refresh: must be at least 1, got '100ms'"),
    ],
)
def test_what_is_wrong_with_a_watchlist_is_told_with_its_place_and_remedy(
    problems_of: Problems, watchlist: str, told: str
) -> None:
    (problem,) = problems_of(FEED % watchlist, K="key")
    place, _, message = problem.partition(": feeds.")
    assert message == told
    line, column = place.removeprefix("c.yaml:").split(":")
    assert line == "1"
    key = told.partition(":")[0].rpartition(".")[2]
    at = (FEED % watchlist)[int(column) - 1 :]
    assert at.startswith(key) or f"{key}: {at}" in FEED % watchlist


@pytest.mark.parametrize("url", ["sqlite:///w.db", "sqlite:////w.db", "postgresql://u:p%40@h:5432/d?sslmode=require"])
def test_good_watchlists(load_text: Load, url: str) -> None:
    watchlist = load_text(FEED % GOOD, K="key", URL=url).settings.feeds["us"].watchlist
    assert watchlist is not None
    assert watchlist.refresh == 60
    assert watchlist.sql is not None
    assert str(watchlist.sql.url) == "***"


def test_the_address_of_a_wrong_watchlist_is_not_shown(problems_of: Problems) -> None:
    (told,) = problems_of(FEED % GOOD, K="key", URL="postgresql://u:canary/1@h/d")
    assert "canary" not in told


def test_a_relative_file_begins_at_the_folder_of_the_configuration(load_text: Load, tmp_path: Path) -> None:
    watchlist = load_text(FEED % "{file: lists/w.txt, refresh: 5m}", K="key").settings.feeds["us"].watchlist
    assert watchlist is not None
    assert (watchlist.file, watchlist.refresh) == (tmp_path / "lists" / "w.txt", 300)


def test_postgresql_without_its_extra_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(FEED % GOOD)
    # As if it were not installed.
    program = "import sys; sys.modules['asyncpg'] = None; from pricestreamd.cli.main import main; sys.exit(main(['check', 'c.yaml']))"

    def check(url: str) -> subprocess.CompletedProcess[str]:
        environ = {"K": "key", "URL": url, "PYTHONPATH": str(Path(__file__).parents[3]), "STATE_DIRECTORY": "state"}
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path, env=environ
        )

    without = check("postgresql://u:canary-1@h/d")
    assert without.returncode == 78
    assert without.stderr == (
        "c.yaml:1:76: feeds.us.watchlist.sql.url: PostgreSQL needs the extra postgres: "
        "pip install 'pricestreamd[postgres]'\n"
    )
    assert check("sqlite:///w.db").returncode == 0
