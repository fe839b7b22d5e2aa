"""The dashboard: every query names what there is, and every panel says what it shows."""

import re
from collections import Counter

import pytest

from tests.prometheus.shipped import dashboard, exposed, names_in, panels, queries, wrong_labels


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_every_query_names_metrics_and_labels_that_exist(where: str, query: str) -> None:
    assert names_in(query), where
    assert names_in(query) <= exposed().keys(), where
    assert wrong_labels(query) == set(), where


def test_a_name_or_label_that_does_not_exist_would_be_found() -> None:
    query = 'sum by (feed, colour) (rate(pricestream_tick_total{feed="a", shape="b"}[5m])) / up{job="x"}'
    assert names_in(query) - exposed().keys() == {"pricestream_tick_total"}
    assert wrong_labels(query.replace("tick_total", "ticks_total")) == {"colour", "pricestream_ticks_total{shape}"}


def test_the_variables_ask_for_metrics_that_exist() -> None:
    asked = {one["name"]: str(one["query"]) for one in dashboard()["templating"]["list"]}
    assert list(asked) == ["datasource", "instance", "feed"]
    for name in ("instance", "feed"):
        assert names_in(asked[name]) and names_in(asked[name]) <= exposed().keys()


def test_every_panel_has_a_title_a_unit_and_a_description_and_asks_the_chosen_data_source() -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["expr"] for target in panel["targets"])


def test_ids_and_titles_of_panels_are_unique_and_no_two_overlap() -> None:
    every = dashboard()["panels"]
    assert max(Counter(panel["id"] for panel in every).values()) == 1
    assert max(Counter(panel["title"] for panel in every).values()) == 1
    taken: Counter[tuple[int, int]] = Counter()
    for panel in every:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
    assert set(taken.values()) == {1}


def test_only_its_own_variables_are_used() -> None:
    used = set(re.findall(r"\$\{?(\w+)", " ".join(query for _, query in queries())))
    assert used == {"instance", "feed", "__rate_interval"}


def test_what_a_person_wants_to_see_is_there() -> None:
    shown = set().union(*(names_in(query) for _, query in queries()))
    for name in (
        "feed_healthy", "ticks_total", "feed_lag_seconds_bucket", "reconnects_total", "alerts_fired_total",
        "alerts_blind", "sink_queue_length", "sink_dropped_total", "outbox_pending", "outbox_oldest_seconds",
        "event_loop_lag_seconds_bucket",
    ):  # fmt: skip
        assert f"pricestream_{name}" in shown
    assert "process_resident_memory_bytes" in shown
