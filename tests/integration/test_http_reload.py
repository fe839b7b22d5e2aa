"""`POST /-/reload` on a running daemon: what has changed, or everything that is wrong."""

from pathlib import Path

import aiohttp

from pricestreamd.simulator.server import Simulator
from tests.support.daemon import DaemonProcess

KEY = "canary-key-0815"


def config(url: str, symbols: str = "AAPL, MSFT", more: str = "") -> str:
    return f"""
feeds:
  us: {{provider: twelvedata, api_key: "${{KEY}}", endpoint: "{url}", symbols: [{symbols}], market_hours: always}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
{more}
"""


async def test_it_tells_what_has_changed_and_what_waits_for_the_next_start_or_all_that_is_wrong(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url), RUNTIME_DIRECTORY=str(tmp_path), KEY=KEY) as daemon:
            token = (tmp_path / "http-token").read_text().strip()
            header = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession(daemon.url) as client:
                # Like everything that changes something.
                for refused, status in (({}, 401), (header | {"Origin": "https://evil.example"}, 403)):
                    async with client.post("/-/reload", headers=refused) as response:
                        assert response.status == status
                async with client.get("/-/reload", headers=header) as response:
                    assert response.status == 405
                async with client.post("/-/reload", headers=header) as response:
                    assert response.status == 200
                    assert await response.json() == {"status": "reloaded", "changed": [], "restart": [], "warnings": []}

                daemon.config.write_text(config(simulator.url, "AAPL, TSLA", "metrics: {max_symbol_series: 5}"))
                async with client.post("/-/reload", headers=header) as response:
                    assert response.status == 200
                    told = await response.json()
                assert any("symbols" in key or key == "feeds.us" for key in told["changed"]), told
                async with client.get("/api/v1/symbols") as response:
                    symbols = {report["symbol"] for report in (await response.json())["symbols"]}
                assert symbols == {"AAPL", "TSLA"}

                bad = config(simulator.url, "NVDA", "alerts: [{symbol: NVDA, abov: 1}]\nstate: 5\nnonsense: true")
                daemon.config.write_text(bad)
                async with client.post("/-/reload", headers=header) as response:
                    assert response.status == 422
                    assert response.content_type == "application/problem+json"
                    problem = await response.json()
                fields = [fault["field"] for fault in problem["errors"]]
                assert problem["field"] == fields[0]
                assert {"state", "nonsense"} <= set(fields), problem
                assert any(field.startswith("alerts[0]") for field in fields), problem
                assert all(f"{daemon.config}:" in fault["detail"] for fault in problem["errors"])
                assert KEY not in str(problem)
                # Nothing of it is in force.
                async with client.get("/api/v1/symbols") as response:
                    assert {report["symbol"] for report in (await response.json())["symbols"]} == symbols

                daemon.config.write_text(config(simulator.url).replace("127.0.0.1:0", "127.0.0.1:1"))
                async with client.post("/-/reload", headers=header) as response:
                    assert response.status == 422
                    assert [fault["field"] for fault in (await response.json())["errors"]] == ["http.listen"]
            assert await daemon.stop() == 0


async def test_the_configuration_in_force_is_told_without_its_secrets(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=50) as simulator:
        async with DaemonProcess(tmp_path, config(simulator.url), KEY=KEY) as daemon:
            found = await daemon.get("/api/v1/config")
            assert found["feeds"]["us"]["symbols"] == ["AAPL", "MSFT"]
            assert KEY not in str(found)
            assert found["feeds"]["us"]["api_key"]
            assert await daemon.stop() == 0
