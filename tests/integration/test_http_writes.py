"""Alerts and symbols changed over HTTP: every status, what is kept, and what a restart brings back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pricestreamd.daemon.journal.keeping import Limits
from pricestreamd.http.app import HttpServer
from pricestreamd.http.firings import MAX_EXPLAINED
from pricestreamd.model.events import PriceError
from pricestreamd.state.rows import AlertRow, StateChange, SymbolRow
from tests.support.controlled import ONE_FEED, TWO_FEEDS, World, bearer, controlled, world
from tests.support.http_serving import exchange

ALERT = {"name": "mine", "symbol": "AAPL", "above": 200, "once": True}


@contextlib.asynccontextmanager
async def running(
    folder: Path, text: str = ONE_FEED, limits: Limits | None = None
) -> AsyncIterator[tuple[World, aiohttp.ClientSession]]:
    async with world(folder, text, limits=limits) as made, controlled(made, folder) as (_, client):
        client.headers.update(bearer(folder))
        yield made, client


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[World, aiohttp.ClientSession]]:
    async with running(tmp_path) as pair:
        yield pair


async def asked(
    client: aiohttp.ClientSession, method: str, path: str, body: Any = None, status: int = 200, **more: Any
) -> Any:
    """The answer, which has this status; an error is problem+json with a sentence."""
    async with client.request(method, path, json=body, **more) as response:
        text = await response.text()
        assert response.status == status, text
        if status >= 400:
            assert response.content_type == "application/problem+json"
            assert json.loads(text)["detail"]
        return json.loads(text) if text else None


# --- alerts


async def test_a_new_alert_is_201_with_its_address_and_is_kept(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    async with client.post("/api/v1/alerts", json=ALERT) as response:
        assert response.status == 201
        assert response.headers["Location"] == "/api/v1/alerts/mine"
        told = await response.json()
    assert told["alert_id"] == "mine"
    assert told["source"] == "api"
    assert told["written"] == {"name": "mine", "symbol": "AAPL", "above": 200.0, "once": True}
    assert told["state"] == {"AAPL": "armed"}
    assert [row.alert_id for row in (await made.saved()).alerts] == ["mine"]
    made.tick("AAPL", 250.0)
    assert [event.alert_id for event in made.heard if event.event == "price.alert"] == ["mine"]  # type: ignore[attr-defined]  # an alert has one


async def test_the_same_name_again_is_200_and_takes_its_place(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", ALERT, 201)
    told = await asked(client, "POST", "/api/v1/alerts", {"name": "mine", "symbol": "MSFT", "below": 5}, 200)
    assert told["written"] == {"name": "mine", "symbol": "MSFT", "below": 5.0}
    assert made.alert_ids() == ["from-yaml", "mine"]
    assert len((await made.saved()).alerts) == 1


async def test_without_a_name_symbol_and_conditions_are_the_id(both: tuple[World, aiohttp.ClientSession]) -> None:
    _, client = both
    body = {"symbols": ["AAPL", "BTC/USD"], "change_percent": "5%", "baseline": "15m", "cooldown": "10m"}
    first = await asked(client, "POST", "/api/v1/alerts", body, 201)
    assert (await asked(client, "POST", "/api/v1/alerts", body, 200))["alert_id"] == first["alert_id"]
    other = await asked(client, "POST", "/api/v1/alerts", {**body, "change_percent": 6}, 201)
    assert other["alert_id"] != first["alert_id"]


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"symbol": "AAPL", "abov": 1}, "abov", "did you mean 'above'?"),
        ({"symbol": "AAPL", "above": "soon"}, "above", "expected a number"),
        ({"symbol": "AAPL", "above": -1}, "above", "more than 0"),
        ({"symbol": "AAPL", "above": True}, "above", "expected a number"),
        ({"symbol": "AAPL"}, "above", "needs a condition"),
        ({"above": 1}, "symbol", "needs a symbol"),
        ({"symbol": "AAPL", "symbols": ["MSFT"], "above": 1}, "symbols", "keep one of the two"),
        ({"symbol": "A" * 129, "above": 1}, "symbol", "at most 128"),
        ({"symbol": "AAPL", "above": 1, "active": {"from": "25:00"}}, "active.from", "time of day"),
        ({"symbol": "AAPL", "above": 1, "notify": ["phon"]}, "notify[0]", "did you mean 'phone'?"),
        ({"symbol": "AAPL", "above": 1, "expires": "tomorrow"}, "expires", "with its offset"),
        ({"symbol": "AAPL", "above": 1, "hysteresis": 100}, "hysteresis", "could never fire again"),
        ({"symbol": "AAPL", "trailing_percent": 0}, "trailing_percent", "percentage below"),
        ({"symbol": "AAPL", "trade_size_above": 5}, "trade_size_above", "reports"),
        ({"symbol": "AAPL", "above": 1, "name": ".."}, "name", "another name"),
        ({"symbol": ["AAPL"], "above": 1}, "symbol", "expected text"),
    ],
)
async def test_an_alert_that_cannot_be_is_422_and_names_the_key(
    both: tuple[World, aiohttp.ClientSession], body: dict[str, Any], field: str, said: str
) -> None:
    made, client = both
    told = await asked(client, "POST", "/api/v1/alerts", body, 422)
    assert told["field"] == field
    assert told["errors"][0]["field"] == field
    assert said in told["detail"]
    assert made.alert_ids() == ["from-yaml"]
    assert (await made.saved()).alerts == ()


async def test_every_fault_of_a_body_is_told(both: tuple[World, aiohttp.ClientSession]) -> None:
    body = {"symbol": 12, "once": "yes", "cooldown": -1}
    told = await asked(both[1], "POST", "/api/v1/alerts", body, 422)
    assert {fault["field"] for fault in told["errors"]} == {"symbol", "once", "cooldown"}
    assert "and 2 more" in told["detail"]


async def test_an_alert_on_a_symbol_of_no_feed_is_set_with_a_warning(
    both: tuple[World, aiohttp.ClientSession],
) -> None:
    told = await asked(both[1], "POST", "/api/v1/alerts", {"symbol": "NOPE", "above": 1}, 201)
    assert "no feed has the symbol NOPE" in told["warnings"][0]


async def test_what_the_configuration_has_is_409_with_the_remedy(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    for method, path, body in (
        ("POST", "/api/v1/alerts", {"name": "from-yaml", "symbol": "AAPL", "above": 1}),
        ("PATCH", "/api/v1/alerts/from-yaml", {"above": 1}),
        ("DELETE", "/api/v1/alerts/from-yaml", None),
        ("DELETE", "/api/v1/symbols?symbol=aapl", None),
    ):
        assert "configuration" in (await asked(client, method, path, body, 409))["detail"]
    assert made.alert_ids() == ["from-yaml"]
    assert made.service.board.rule("from-yaml").written == {"above": 500.0}  # type: ignore[union-attr]  # it is there


async def test_patch_changes_some_keys_and_null_takes_one_out(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {**ALERT, "below": 50, "cooldown": "10m"}, 201)
    told = await asked(client, "PATCH", "/api/v1/alerts/mine", {"once": None, "below": None, "notify": ["phone"]})
    assert told["written"] == {"name": "mine", "symbol": "AAPL", "above": 200.0, "cooldown": 600.0, "notify": ["phone"]}
    told = await asked(client, "PATCH", "/api/v1/alerts/mine", {"symbols": ["MSFT", "AAPL"]})
    assert told["symbols"] == ["MSFT", "AAPL"]
    assert (await asked(client, "PATCH", "/api/v1/alerts/mine", {"above": None}, 422))["field"] == "above"
    assert (await asked(client, "PATCH", "/api/v1/alerts/mine", {"name": "other"}, 422))["field"] == "name"
    await asked(client, "PATCH", "/api/v1/alerts/none", {"above": 1}, 404)
    definition = json.loads((await made.saved()).alerts[0].definition)
    assert definition["alert"]["symbols"] == ["MSFT", "AAPL"]


async def test_patch_keeps_the_state_of_what_it_does_not_change(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {"symbol": "AAPL", "above": 200, "below": 150}, 201)
    (alert_id,) = set(made.alert_ids()) - {"from-yaml"}
    made.tick("AAPL", 100.0)
    assert [event.event for event in made.heard].count("price.alert") == 1
    # The id stays, though symbol and conditions made it: `below` has fired, and does not fire again.
    told = await asked(client, "PATCH", f"/api/v1/alerts/{alert_id}", {"above": 210, "cooldown": "1h"})
    assert told["alert_id"] == alert_id
    made.tick("AAPL", 99.0)
    assert [event.event for event in made.heard].count("price.alert") == 1
    # What first had the id would now be another alert of that id.
    again = await asked(client, "POST", "/api/v1/alerts", {"symbol": "AAPL", "above": 200, "below": 150}, 409)
    assert "give this one a name" in again["detail"]


async def test_what_was_to_fire_once_stays_done_when_changed_and_not_when_set_anew(
    both: tuple[World, aiohttp.ClientSession],
) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", ALERT, 201)
    made.tick("AAPL", 250.0)
    assert (await asked(client, "PATCH", "/api/v1/alerts/mine", {"cooldown": "1m"}))["state"] == {"AAPL": "done"}
    assert (await asked(client, "POST", "/api/v1/alerts", ALERT))["state"] == {"AAPL": "armed"}


async def test_delete_is_204_and_then_404(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {**ALERT, "name": "a/b c"}, 201)
    await asked(client, "DELETE", "/api/v1/alerts/a%2Fb%20c", status=204)
    await asked(client, "DELETE", "/api/v1/alerts/a%2Fb%20c", status=404)
    assert made.alert_ids() == ["from-yaml"]
    assert (await made.saved()).alerts == ()


async def test_the_alerts_on_one_symbol_go_and_the_answer_says_which(
    both: tuple[World, aiohttp.ClientSession],
) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {"name": "one", "symbol": "AAPL", "above": 1}, 201)
    await asked(client, "POST", "/api/v1/alerts", {"name": "two", "symbols": ["AAPL", "MSFT"], "above": 1}, 201)
    await asked(client, "POST", "/api/v1/alerts", {"name": "all", "symbol": "*", "above": 1}, 201)
    await asked(client, "POST", "/api/v1/alerts", {"name": "other", "symbol": "MSFT", "above": 1}, 201)
    told = await asked(client, "DELETE", "/api/v1/alerts?symbol=aapl")
    assert told == {"removed": ["one"], "changed": ["two", "all"], "kept": ["from-yaml"]}
    assert made.alert_ids() == ["from-yaml", "two", "all", "other"]
    left = {row.alert_id: json.loads(row.definition) for row in (await made.saved()).alerts}
    assert left["two"]["alert"]["symbol"] == "MSFT"
    assert left["all"] == {"alert": {"name": "all", "symbol": "*", "above": 1.0}, "excluded": ["AAPL"]}
    assert (await asked(client, "DELETE", "/api/v1/alerts", status=400))["parameter"] == "symbol"


async def test_rearming_lets_an_alert_fire_once_more(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", ALERT, 201)
    made.tick("AAPL", 250.0)
    made.tick("AAPL", 100.0)
    assert (await asked(client, "GET", "/api/v1/alerts/mine"))["state"] == {"AAPL": "done"}
    assert (await asked(client, "POST", "/api/v1/alerts/mine/rearm?symbol=aapl"))["state"]["AAPL"] != "done"
    made.tick("AAPL", 250.0)
    firings = [event for event in made.heard if event.event == "price.alert"]
    assert len({event.firing_id for event in firings}) == 2  # type: ignore[attr-defined]  # alerts have one
    # Also one of the configuration: that changes no line of it.
    await asked(client, "POST", "/api/v1/alerts/from-yaml/rearm")
    await asked(client, "POST", "/api/v1/alerts/mine/rearm?symbol=MSFT", status=404)
    await asked(client, "POST", "/api/v1/alerts/none/rearm", status=404)


async def test_the_list_tells_state_distance_firings_source_and_how_it_was_written(
    both: tuple[World, aiohttp.ClientSession],
) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {"name": "both", "symbols": ["AAPL", "MSFT"], "below": 90}, 201)
    made.tick("AAPL", 80.0)
    made.tick("MSFT", 100.0)
    first, second = (await asked(client, "GET", "/api/v1/alerts"))["alerts"]
    assert (first["source"], second["source"]) == ("yaml", "api")
    assert first["conditions"] == {"above": 500.0}
    assert second["firings"] == 1
    assert second["state"] == {"AAPL": "firing", "MSFT": "armed"}
    assert second["places"]["MSFT"] == {"state": "armed", "price": 100.0, "distance_percent": -10.0, "firings": 0}
    # It has fired there, and has to be false first: no distance would be true.
    assert second["places"]["AAPL"]["distance_percent"] is None
    assert (first["text"], second["text"]) == ("above 500", "below 90")
    # What is told can be sent back as it is.
    assert await asked(client, "POST", "/api/v1/alerts", second["written"]) == second


# --- why


async def test_explain_says_why_in_data_and_in_sentences(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {**ALERT, "symbol": "*"}, 201)
    made.tick("AAPL", 250.0)
    made.tick("MSFT", 198.0)
    await made.notes.committed()
    told = await asked(client, "GET", "/api/v1/alerts/mine/explain")
    assert told["more"] == 0
    by_symbol = {one["symbol"]: one for one in told["explanations"]}
    assert set(by_symbol) == {"AAPL", "MSFT", "BTC/USD"}
    assert "AAPL: is done: it has fired, and was to fire once" in by_symbol["AAPL"]["sentences"][0]
    assert "Price above 200.00: not true; it would be at 200.00 (+1.01 %)." in by_symbol["MSFT"]["sentences"]
    assert "It has never fired." in by_symbol["MSFT"]["sentences"]
    assert by_symbol["AAPL"]["last_firings"][0]["event"]["price"] == 250.0
    assert by_symbol["MSFT"]["last_firings"] == []
    one = await asked(client, "GET", "/api/v1/alerts/mine/explain?symbol=msft")
    assert [entry["symbol"] for entry in one["explanations"]] == ["MSFT"]
    await asked(client, "GET", "/api/v1/alerts/from-yaml/explain?symbol=MSFT", status=404)
    await asked(client, "GET", "/api/v1/alerts/none/explain", status=404)


async def test_past_firings_come_newest_first_with_what_was_tried(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "POST", "/api/v1/alerts", {"name": "mine", "symbols": ["AAPL", "MSFT"], "above": 200}, 201)
    for price in (201.0, 199.0, 202.0, 199.0, 203.0):
        made.tick("AAPL", price)
    made.tick("MSFT", 300.0)
    await made.notes.committed()
    told = (await asked(client, "GET", "/api/v1/alerts/mine/firings"))["firings"]
    assert [one["event"]["price"] for one in told] == [300.0, 203.0, 202.0, 201.0]
    assert set(told[0]) == {"firing_id", "symbol", "timestamp", "durable", "event", "deliveries", "owed"}
    told = (await asked(client, "GET", "/api/v1/alerts/mine/firings?symbol=aapl&limit=2"))["firings"]
    assert [one["event"]["price"] for one in told] == [203.0, 202.0]
    await asked(client, "GET", "/api/v1/alerts/mine/firings?limit=1001", status=400)
    await asked(client, "GET", "/api/v1/alerts/none/firings", status=404)
    # They outlast the alert.
    await asked(client, "DELETE", "/api/v1/alerts/mine", status=204)
    assert len((await asked(client, "GET", "/api/v1/alerts/mine/firings"))["firings"]) == 4


async def test_the_last_firings_of_all_alerts_come_newest_first(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    assert await asked(client, "GET", "/api/v1/firings") == {"firings": []}
    await asked(client, "POST", "/api/v1/alerts", {"name": "one", "symbol": "AAPL", "above": 200}, 201)
    await asked(client, "POST", "/api/v1/alerts", {"name": "two", "symbols": ["AAPL", "MSFT"], "above": 200}, 201)
    for price in (201.0, 199.0, 202.0):
        made.tick("AAPL", price)
    made.tick("MSFT", 300.0)
    await made.notes.committed()
    told = (await asked(client, "GET", "/api/v1/firings"))["firings"]
    assert [one["event"]["price"] for one in told] == [300.0, 202.0, 202.0, 201.0, 201.0]
    assert set(told[0]) == {"firing_id", "symbol", "timestamp", "durable", "event", "deliveries", "owed"}
    assert (await asked(client, "GET", "/api/v1/firings?limit=3"))["firings"] == told[:3]
    # One that was let begin anew has fired all the same.
    await asked(client, "POST", "/api/v1/alerts/two/rearm")
    assert (await asked(client, "GET", "/api/v1/firings?limit=1"))["firings"] == told[:1]
    await asked(client, "GET", "/api/v1/firings?limit=101", status=400)
    await asked(client, "GET", "/api/v1/firings?symbol=AAPL", status=400)


async def test_without_a_sink_that_keeps_account_a_firing_went_to_the_log_only(tmp_path: Path) -> None:
    async with running(tmp_path, ONE_FEED.partition("sinks:")[0]) as (made, client):
        await asked(client, "POST", "/api/v1/alerts", {"name": "mine", "symbol": "AAPL", "above": 200}, 201)
        made.tick("AAPL", 250.0)
        await made.notes.committed()
        (told,) = (await asked(client, "GET", "/api/v1/alerts/mine/explain"))["explanations"]
        assert told["sentences"][-1].endswith("AAPL 250.00 is above 200.00. It went to the log only.")


async def test_an_alert_that_names_a_sink_that_keeps_account_did_not_go_to_the_log_only(
    both: tuple[World, aiohttp.ClientSession],
) -> None:
    made, client = both
    for name, notify in (("to-phone", ["phone", "log"]), ("to-log", ["log"]), ("to-all", [])):
        body = {"name": name, "symbol": "AAPL", "above": 200, "notify": notify}
        await asked(client, "POST", "/api/v1/alerts", body, 201)
    assert [made.control.is_log_only(name) for name in ("to-phone", "to-log", "to-all")] == [False, True, False]


async def test_removing_a_symbol_that_an_alert_needs_is_answered_with_a_warning(
    both: tuple[World, aiohttp.ClientSession], caplog: pytest.LogCaptureFixture
) -> None:
    _, client = both
    await asked(client, "POST", "/api/v1/symbols", {"symbols": ["TSLA"]}, 201)
    await asked(client, "POST", "/api/v1/alerts", {"name": "stop", "symbol": "TSLA", "below": 9}, 201)
    said = "stop cannot fire any more: no feed has TSLA now"
    assert await asked(client, "DELETE", "/api/v1/symbols?symbol=TSLA") == {"removed": "TSLA", "warnings": [said]}
    assert said in caplog.text


async def test_what_looks_like_a_slip_is_set_and_warned_of(both: tuple[World, aiohttp.ClientSession]) -> None:
    _, client = both
    answer = await asked(client, "POST", "/api/v1/alerts", {"symbol": "AAPL", "above": 1, "below": 2}, 201)
    assert answer["warnings"] == ["above: not more than below, so that one of the two is always true"]
    answer = await asked(client, "POST", "/api/v1/symbols", {"symbols": ["A B"]}, 201)
    assert answer["warnings"] == ["A B: a space inside a symbol: is a comma missing (A, B)?"]


async def test_an_explanation_of_a_glob_is_bounded(tmp_path: Path) -> None:
    symbols = ", ".join(f"S{number}" for number in range(MAX_EXPLAINED + 5))
    text = f"feeds: {{f: {{provider: twelvedata, api_key: key, symbols: [{symbols}]}}}}"
    async with running(tmp_path, text) as (_, client):
        await asked(client, "POST", "/api/v1/alerts", {"name": "all", "symbol": "S*", "above": 1}, 201)
        told = await asked(client, "GET", "/api/v1/alerts/all/explain")
        assert (len(told["explanations"]), told["more"]) == (MAX_EXPLAINED, 5)


# --- symbols


async def test_symbols_are_wanted_at_once_kept_and_given_up(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    told = await asked(client, "POST", "/api/v1/symbols", {"symbols": ["TSLA", "aapl", "ETH/USD", "tsla"]}, 201)
    assert told["added"] == ["TSLA", "ETH/USD"]
    assert {row["symbol"]: row["source"] for row in told["symbols"]} == {
        "AAPL": "yaml",
        "TSLA": "api",
        "ETH/USD": "api",
    }
    assert made.sources()["TSLA"] == "api"
    made.tick("TSLA", 5.0)
    assert made.service.get_last_price("tsla") == 5.0
    assert (await made.saved()).symbols == (SymbolRow("stocks", "TSLA"), SymbolRow("stocks", "ETH/USD"))
    assert (await asked(client, "POST", "/api/v1/symbols", {"symbols": ["TSLA"]}))["added"] == []
    await asked(client, "DELETE", "/api/v1/symbols?symbol=eth%2Fusd", status=204)
    await asked(client, "DELETE", "/api/v1/symbols?symbol=ETH%2FUSD", status=404)
    assert "ETH/USD" not in made.sources()
    assert (await made.saved()).symbols == (SymbolRow("stocks", "TSLA"),)


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "symbols", "expected a list"),
        ({"symbols": []}, "symbols", "expected a list"),
        ({"symbols": "AAPL"}, "symbols", "expected a list"),
        ({"symbols": [1]}, "symbols", "expected a list"),
        ({"symbols": ["A"] * 1001}, "symbols", "at most 1000"),
        ({"symbols": ["OK", "BTC/*"]}, "symbols[1]", "a glob"),
        ({"symbols": [" "]}, "symbols[0]", "expected a symbol"),
        ({"symbols": ["a\nb"]}, "symbols[0]", "expected a symbol"),
        ({"symbols": ["A" * 129]}, "symbols[0]", "at most 128"),
        ({"symbols": ["A"], "feed": "stok"}, "feed", "did you mean 'stocks'?"),
        ({"symbols": ["A"], "feed": 1}, "feed", "name of a feed"),
        ({"symbol": ["A"]}, "symbol", "did you mean symbols?"),
    ],
)
async def test_symbols_that_cannot_be_are_422_and_nothing_is_added(
    both: tuple[World, aiohttp.ClientSession], body: dict[str, Any], field: str, said: str
) -> None:
    made, client = both
    before = made.sources()
    told = await asked(client, "POST", "/api/v1/symbols", body, 422)
    assert told["field"] == field
    assert said in told["detail"]
    assert made.sources() == before


async def test_with_several_feeds_the_feed_is_named_and_no_symbol_has_two(tmp_path: Path) -> None:
    async with running(tmp_path, TWO_FEEDS) as (made, client):
        told = await asked(client, "POST", "/api/v1/symbols", {"symbols": ["TSLA"]}, 422)
        assert told["field"] == "feed"
        assert "stocks, spare or crypto" in told["detail"]
        told = await asked(client, "POST", "/api/v1/symbols", {"symbols": ["x", "aapl"], "feed": "crypto"}, 409)
        assert told["field"] == "symbols[1]"
        assert "feed stocks" in told["detail"]
        assert "x" not in made.sources()
        # A backup may have what it stands in for.
        await asked(client, "POST", "/api/v1/symbols", {"symbols": ["AAPL"], "feed": "spare"}, 201)
        await asked(client, "POST", "/api/v1/symbols", {"symbols": ["ETH/USD"], "feed": "crypto"}, 201)


async def test_there_is_a_most_of_everything(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(alerts=2, symbols=2, places=5)) as (made, client):
        for name in ("a", "b"):
            await asked(client, "POST", "/api/v1/alerts", {**ALERT, "name": name}, 201)
        assert "no more" in (await asked(client, "POST", "/api/v1/alerts", ALERT, 409))["detail"]
        await asked(client, "POST", "/api/v1/alerts", {**ALERT, "name": "a"}, 200)
        assert (await asked(client, "PATCH", "/api/v1/alerts/a", {"symbol": "*"}, 409))["field"] == "symbols"
        assert made.service.board.rule("a").patterns == ("AAPL",)  # type: ignore[union-attr]  # it is there
        await asked(client, "POST", "/api/v1/symbols", {"symbols": ["A", "B"]}, 201)
        assert "no more" in (await asked(client, "POST", "/api/v1/symbols", {"symbols": ["C"]}, 409))["detail"]


# --- what lasts


async def test_a_restart_brings_everything_back(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await asked(client, "POST", "/api/v1/alerts", {"symbol": "AAPL", "above": 200, "below": 1}, 201)
        await asked(client, "POST", "/api/v1/alerts", {"name": "all", "symbol": "*", "above": 7}, 201)
        await asked(client, "DELETE", "/api/v1/alerts?symbol=MSFT")
        await asked(client, "POST", "/api/v1/symbols", {"symbols": ["TSLA"]}, 201)
        listed = (await asked(client, "GET", "/api/v1/alerts"))["alerts"]
        unnamed = next(one["alert_id"] for one in listed if one["name"] is None)
        await asked(client, "PATCH", f"/api/v1/alerts/{unnamed}", {"above": 300})
        before = (await asked(client, "GET", "/api/v1/alerts"))["alerts"]
    async with running(tmp_path) as (made, client):
        after = (await asked(client, "GET", "/api/v1/alerts"))["alerts"]
        assert after == before
        assert unnamed in made.alert_ids()
        assert not made.service.board.rule("all").covers("MSFT")  # type: ignore[union-attr]  # it is there
        assert made.sources()["TSLA"] == "api"
        assert made.service.board.state("TSLA") is not None
        # And they can be changed as before.
        await asked(client, "DELETE", "/api/v1/alerts/all", status=204)
        await asked(client, "DELETE", "/api/v1/symbols?symbol=TSLA", status=204)


async def test_an_alert_that_the_configuration_has_by_now_gives_way_with_a_warning(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await asked(client, "POST", "/api/v1/alerts", ALERT, 201)
        await asked(client, "POST", "/api/v1/symbols", {"symbols": ["TSLA"]}, 201)
    text = """
feeds:
  stocks: {provider: twelvedata, api_key: key, symbols: [AAPL]}
  crypto: {provider: binance, symbols: [TSLA]}
alerts:
  - {name: mine, symbol: AAPL, above: 9}
"""
    async with running(tmp_path, text) as (made, client):
        told = await asked(client, "GET", "/api/v1/alerts/mine")
        assert (told["source"], told["written"]["above"]) == ("yaml", 9.0)
        assert made.sources() == {"AAPL": "yaml", "TSLA": "yaml"}
        await made.notes.committed()
        saved = await made.saved()
        assert (saved.alerts, saved.symbols) == ((), ())
        assert sum(isinstance(event, PriceError) for event in made.heard) == 2


async def test_what_the_configuration_takes_over_while_it_runs_is_the_apis_no_more(tmp_path: Path) -> None:
    async with running(tmp_path, TWO_FEEDS) as (made, client):
        await asked(client, "POST", "/api/v1/alerts", ALERT, 201)
        await asked(client, "POST", "/api/v1/symbols", {"symbols": ["ETH/USD", "TSLA"], "feed": "stocks"}, 201)
        before = made.service.board.rule("mine")
        assert before is not None
        made.service.board.set_alert(replace(before, source="yaml"), revive=False)
        crypto = made.settings.feeds["crypto"]
        made.feeds.clients["crypto"].apply(replace(crypto, symbols=("BTC/USD", "ETH/USD")))
        made.control.reconcile()
        await asked(client, "DELETE", "/api/v1/alerts/mine", status=409)
        owner = made.feeds.owner("ETH/USD")
        assert owner is not None
        assert owner.name == "crypto"
        assert made.service.board.state("ETH/USD") is not None
        await made.notes.committed()
        saved = await made.saved()
        assert (saved.alerts, saved.symbols) == ((), (SymbolRow("stocks", "TSLA"),))
        assert sum(isinstance(event, PriceError) for event in made.heard) == 2


async def test_what_cannot_be_read_stays_and_is_told_of(tmp_path: Path) -> None:
    rows = [AlertRow("odd", b"{"), AlertRow("newer", b'{"alert": {"symbol": "A", "above": 1, "mode": "x"}}')]
    async with world(tmp_path) as made:
        made.notes.note(StateChange(alerts=rows, symbols=[SymbolRow("gone", "X")]))
        await made.notes.committed()
    async with world(tmp_path) as made:
        assert made.alert_ids() == ["from-yaml"]
        saved = await made.saved()
        assert {row.alert_id for row in saved.alerts} == {"odd", "newer"}
        assert saved.symbols == (SymbolRow("gone", "X"),)
        told = [event.message for event in made.heard if isinstance(event, PriceError)]
        assert len(told) == 3
        assert any("'mode'" in text or "unknown key" in text for text in told)


async def test_a_disk_that_refuses_is_503_and_nothing_is_changed(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    made.notes.refuses = ["disk full"] * 6
    for method, path, body in (
        ("POST", "/api/v1/alerts", ALERT),
        ("POST", "/api/v1/symbols", {"symbols": ["TSLA"]}),
        ("DELETE", "/api/v1/alerts?symbol=AAPL", None),
    ):
        told = await asked(client, method, path, body, 503)
        assert told["detail"] == "Nothing was changed, because the state cannot be written (disk full)."
    assert made.alert_ids() == ["from-yaml"]
    assert "TSLA" not in made.sources()


async def test_a_disk_that_refuses_in_between_is_503_and_says_what_holds(
    both: tuple[World, aiohttp.ClientSession],
) -> None:
    made, client = both
    made.notes.refuses = [None, "disk full"]
    told = await asked(client, "POST", "/api/v1/alerts", ALERT, 503)
    assert "in force, but not yet kept (disk full)" in told["detail"]
    assert (await asked(client, "GET", "/api/v1/alerts/mine"))["source"] == "api"
    # As soon as the disk takes it, it is kept.
    await asked(client, "POST", "/api/v1/alerts/mine/rearm")
    assert [row.alert_id for row in (await made.saved()).alerts] == ["mine"]


async def test_a_client_that_leaves_cuts_no_write_in_half(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, client):
        made.notes.gate = asyncio.Event()
        writing = asyncio.create_task(asked(client, "POST", "/api/v1/alerts", ALERT, 201, headers=bearer(tmp_path)))
        await made.notes.waits.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        made.notes.gate.set()
        await server.stop(2.0)
        assert [row.alert_id for row in (await made.saved()).alerts] == ["mine"]


async def test_a_disk_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, client):
        made.notes.gate = asyncio.Event()
        writing = asyncio.create_task(asked(client, "POST", "/api/v1/alerts", ALERT, 201, headers=bearer(tmp_path)))
        await made.notes.waits.wait()
        async with asyncio.timeout(10):
            await server.stop(0.1)
        with pytest.raises(aiohttp.ClientError):
            await writing


async def test_many_writers_at_once_get_their_turn(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    names = [f"n{number}" for number in range(40)]
    await asyncio.gather(*(asked(client, "POST", "/api/v1/alerts", {**ALERT, "name": name}, 201) for name in names))
    await asyncio.gather(*(asked(client, "DELETE", f"/api/v1/alerts/{name}", status=204) for name in names[::2]))
    assert sorted(row.alert_id for row in (await made.saved()).alerts) == sorted(names[1::2])


# --- bodies


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""])
async def test_only_json_is_taken(both: tuple[World, aiohttp.ClientSession], kind: str) -> None:
    data, headers = json.dumps(ALERT).encode(), {"Content-Type": kind}
    async with both[1].post("/api/v1/alerts", data=data, headers=headers) as response:
        assert response.status == 415
        assert "application/json" in (await response.json(content_type=None))["detail"]


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"a": 1, "a": 2}', b"\xff", b'{"a": 1e400}', b"[" * 60_000])
async def test_what_is_no_object_is_400(both: tuple[World, aiohttp.ClientSession], body: bytes) -> None:
    async with both[1].post("/api/v1/alerts", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
        assert "no JSON object" in (await response.json(content_type=None))["detail"]


async def test_a_body_that_says_not_how_long_it_is_ends_at_64_kib(tmp_path: Path) -> None:
    async with world(tmp_path) as made, controlled(made, tmp_path) as (server, _):
        token = bearer(tmp_path)["Authorization"]
        head = (
            f"POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nConnection: close\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer = await exchange(
            server,
            head.encode()
            + b"4000\r\n"
            + b" " * 0x4000
            + b"\r\n"
            + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 8
            + b"0\r\n\r\n",
        )
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_what_takes_no_body_refuses_one(both: tuple[World, aiohttp.ClientSession]) -> None:
    made, client = both
    await asked(client, "DELETE", "/api/v1/alerts?symbol=AAPL", {"symbol": "MSFT"}, 400)
    await asked(client, "POST", "/api/v1/alerts/from-yaml/rearm", {"symbol": "MSFT"}, 400)
    assert made.alert_ids() == ["from-yaml"]


async def test_a_server_without_control_has_nothing_to_change(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        server = HttpServer(made.view, type(made.settings.http)(listen="127.0.0.1:0"), token_file=tmp_path / "t")
        await server.start()
        try:
            async with aiohttp.ClientSession(f"http://{server.address}") as client:
                await asked(client, "POST", "/api/v1/alerts", ALERT, 405)
                await asked(client, "DELETE", "/api/v1/symbols?symbol=A", status=405)
            assert not (tmp_path / "t").exists()
        finally:
            await server.stop()
