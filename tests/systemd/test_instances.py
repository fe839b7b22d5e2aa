"""`price-stream@NAME`: several daemons on one machine, each with its own configuration, state and socket."""

from collections.abc import Callable

from tests.systemd.service import Service, feed


def test_instances_run_side_by_side_with_state_and_socket_of_their_own(
    service: Service, instance: Callable[[str], Service]
) -> None:
    service.started(feed())
    east, west = instance("east"), instance("west")
    for made, symbols in ((east, "[AAPL]"), (west, "[MSFT]")):
        listen = f'http: {{listen: "unix:{made.runtime}/http.sock"}}\n'
        made.started(feed(symbols=symbols) + listen)

    for made, symbol in ((east, "AAPL"), (west, "MSFT")):
        assert {row["symbol"] for row in made.told("symbols", "list")["symbols"]} == {symbol}
        state = made.machine.run("stat", "-c", "%U %a", f"/var/lib/{made.runtime.name}/state.db").stdout
        assert state == "price-stream 600\n"
        sockets = made.machine.run("stat", "-c", "%F %U", made.runtime / "http.sock").stdout
        assert sockets == "socket price-stream\n"

    # A reload and an end of one are nothing to the other.
    east.configure(feed(symbols="[NVDA]") + f'http: {{listen: "unix:{east.runtime}/http.sock"}}\n')
    assert east.ask("reload") == 0
    assert {row["symbol"] for row in east.told("symbols", "list")["symbols"]} == {"NVDA"}
    east.ask("stop")
    assert east.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert west.show("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    assert service.show("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
