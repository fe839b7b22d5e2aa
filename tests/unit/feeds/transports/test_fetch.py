"""One request: all of its answer or an error of ours, in time, within bounds, and without a word of the key."""

from __future__ import annotations

import asyncio
import gzip
import time
import traceback
import zlib

import pytest

from pricestreamd.feeds.transports.fetch import fetch
from pricestreamd.feeds.transports.http_session import open_session
from pricestreamd.feeds.transports.transport import Options, UpgradeRefused
from pricestreamd.model.errors import FeedError, ProtocolError, TransportError
from pricestreamd.model.secret import Secret
from pricestreamd.providers.base import HttpRequest
from tests.support.adapters import KEY
from tests.support.raw_http import Asked, RawHttp, Script, always, answer, chunk, ending, head, holding

FAST = Options(connect_timeout=5.0, max_message_size=10_000)


def asking(server: RawHttp, path: str = f"/quote?apikey={KEY}") -> HttpRequest:
    return HttpRequest(server.url(path), ("AAPL",), {"X-Api-Key": Secret(KEY)})


async def test_an_answer_comes_whole_and_the_key_goes_out() -> None:
    async with RawHttp(always(answer(200, b'{"price": 1}', retry_after="7"))) as server:
        response = await fetch(asking(server), FAST)
    assert (response.status, response.body, response.retry_after) == (200, b'{"price": 1}', 7.0)
    assert "price" not in repr(response)
    (asked,) = server.asked
    assert asked.target == f"/quote?apikey={KEY}"
    assert asked.headers["X-Api-Key"] == KEY
    assert asked.headers["User-Agent"] == "pricestreamd"


async def test_headers_of_the_request_stand_above_our_own() -> None:
    async with RawHttp(always(answer())) as server:
        await fetch(HttpRequest(server.url(), headers={"accept": Secret("application/json")}), FAST)
    assert server.asked[0].headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"x" * 9_000)), ("deflate", zlib.compress(b"x" * 9_000))],
    ids=["gzip", "deflate"],
)
async def test_a_packed_answer_is_unpacked(encoding: str, packed: bytes) -> None:
    async with RawHttp(always(answer(200, packed, content_encoding=encoding))) as server:
        assert (await fetch(asking(server), FAST)).body == b"x" * 9_000
    assert server.asked[0].headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize("status", [204, 400, 401, 429, 500, 503])
async def test_another_status_is_told_with_the_beginning_of_its_text(status: int) -> None:
    text = b"" if status == 204 else b"no " * 100_000
    async with RawHttp(ending(answer(status, text, retry_after="12"))) as server:
        response = await fetch(asking(server), FAST)
    assert (response.status, response.body, response.retry_after) == (status, text[:1024], 12.0)


async def test_another_status_whose_text_never_comes_is_told_all_the_same() -> None:
    async with RawHttp(holding(head(401, content_length="100"), b"wrong ")) as server:
        response = await fetch(asking(server), FAST)
    assert (response.status, response.body) == (401, b"wrong ")


@pytest.mark.parametrize("value", ["soon", "-5", "", "1e3"])
async def test_a_retry_after_that_is_no_time_is_none(value: str) -> None:
    async with RawHttp(always(answer(429, b"", retry_after=value))) as server:
        assert (await fetch(asking(server), FAST)).retry_after is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_the_other_host_never_asked(status: int) -> None:
    async with RawHttp(always(answer()), host="127.0.0.2") as other:
        async with RawHttp(always(answer(status, b"", location=other.url()))) as server:
            with pytest.raises(UpgradeRefused, match=r"a redirect to 127\.0\.0\.2; that is not followed") as refused:
                await fetch(asking(server), FAST)
    assert refused.value.status == status
    assert other.dials == 0


async def slow_head(asked: Asked) -> None:
    for byte in answer():
        await asked.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def slow_body(asked: Asked) -> None:
    await asked.write(head(content_length="1000"))
    for _ in range(1000):
        await asked.write(b"x")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("script", [slow_head, slow_body, holding(), holding(b"HTTP/1.1 200")])
async def test_the_deadline_is_for_everything(script: Script) -> None:
    async with RawHttp(script) as server:
        started = time.monotonic()
        with pytest.raises(TransportError, match=f"no answer from 127.0.0.1:{server.port} in time") as error:
            await fetch(asking(server), Options(connect_timeout=0.3))
        assert 0.25 < time.monotonic() - started < 1.5
    assert error.value.reason == "timeout"


BOMB = zlib.compressobj(9, wbits=31)
BOMB_BYTES = b"".join(BOMB.compress(bytes(1 << 20)) for _ in range(64)) + BOMB.flush()


@pytest.mark.parametrize(
    "script",
    [
        ending(answer(200, b"x" * 10_001)),
        holding(head(content_length=str(2**62))),
        holding(head(transfer_encoding="chunked"), chunk(b"x" * 10_001)),
        holding(head(), b"x" * 10_001),
        holding(answer(200, BOMB_BYTES, content_encoding="gzip")),
        holding(head(content_encoding="gzip", transfer_encoding="chunked"), chunk(BOMB_BYTES)),
    ],
    ids=["long", "claims", "chunks", "until the end", "bomb", "bomb in chunks"],
)
async def test_an_answer_that_is_too_long_is_refused(script: Script) -> None:
    async with RawHttp(script) as server:
        with pytest.raises(TransportError, match="is longer than 10000 bytes") as error:
            await fetch(asking(server), FAST)
    assert error.value.reason == "too_big"


async def test_an_answer_as_long_as_allowed_is_taken() -> None:
    async with RawHttp(always(answer(200, b"x" * 10_000))) as server:
        assert len((await fetch(asking(server), FAST)).body) == 10_000


@pytest.mark.parametrize(
    ("script", "error", "reason"),
    [
        (ending(b""), TransportError, "eof"),
        (ending(b"HTTP/1.1 200 OK\r\nContent-"), TransportError, "eof"),
        (ending(head(content_length="100") + b"half"), TransportError, "eof"),
        (ending(head(transfer_encoding="chunked") + b"9\r\nhalf"), TransportError, "eof"),
        (ending(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), ProtocolError, "protocol"),
        (ending(head(content_length="many")), ProtocolError, "protocol"),
        (ending(head(content_length="9" * 30)), ProtocolError, "protocol"),
        (ending(answer(200, b"", x="y" * 100_000)), ProtocolError, "protocol"),
        (ending(answer(200, b"no gzip", content_encoding="gzip")), ProtocolError, "protocol"),
        (ending(answer(200, b"no br", content_encoding="br")), ProtocolError, "protocol"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_ours(script: Script, error: type[FeedError], reason: str) -> None:
    async with RawHttp(script) as server:
        with pytest.raises(error) as raised:
            await fetch(asking(server), FAST)
        assert server.dials == 1
    assert raised.value.reason == reason
    assert f"127.0.0.1:{server.port}" in str(raised.value)


async def test_a_reset_is_told_as_such() -> None:
    async def reset(asked: Asked) -> None:
        asked.reset()

    async with RawHttp(reset) as server:
        with pytest.raises(TransportError) as error:
            await fetch(asking(server), FAST)
        assert server.dials == 1
    assert error.value.reason == "reset"


async def test_nobody_listening_is_told_as_such() -> None:
    with pytest.raises(TransportError, match=r"no connection to 127\.0\.0\.1:2: Connection refused") as error:
        await fetch(HttpRequest(f"http://127.0.0.1:2/?apikey={KEY}"), FAST)
    assert error.value.reason == "refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'a' * 64}.example.org", "a..b"])
async def test_a_name_that_is_none_is_an_error_of_ours(host: str) -> None:
    with pytest.raises(FeedError, match=host[:20]):
        await fetch(HttpRequest(f"http://{host}/?apikey={KEY}"), FAST)


async def test_a_header_that_cannot_be_sent_is_an_error_of_ours() -> None:
    async with RawHttp(always(answer())) as server:
        request = HttpRequest(server.url(), headers={"X-Api-Key": Secret(f"{KEY}\r\nEvil: yes")})
        with pytest.raises(ProtocolError, match="check endpoint, key and headers") as error:
            await fetch(request, FAST)
    assert server.asked == []
    assert KEY not in "".join(traceback.format_exception(error.value))


HOSTILE = [
    always(answer(302, b"", location=f"https://{KEY}.example.org/?apikey={KEY}")),
    always(answer(302, b"", location="http://[")),
    ending(b""),
    ending(b"garbage\r\n\r\n"),
    ending(head(content_length="100") + b"half"),
    ending(answer(200, b"no gzip", content_encoding="gzip")),
    holding(),
    holding(head(transfer_encoding="chunked"), b"zz\r\n\r\n"),
]


@pytest.mark.parametrize("script", HOSTILE)
async def test_no_error_shows_the_key_nor_does_its_traceback(script: Script) -> None:
    async with RawHttp(script) as server:
        with pytest.raises(FeedError) as error:
            await fetch(asking(server), Options(connect_timeout=0.3))
    told = str(error.value) + repr(error.value) + "".join(traceback.format_exception(error.value))
    assert KEY not in told


async def test_a_key_in_the_address_of_a_host_that_is_not_there_is_not_shown() -> None:
    with pytest.raises(FeedError) as error:
        await fetch(HttpRequest(f"http://127.0.0.1:2/?apikey={KEY}"), FAST)
    assert KEY not in "".join(traceback.format_exception(error.value))


async def test_a_session_keeps_its_connection() -> None:
    async with RawHttp(always(answer(200, b"one"))) as server, open_session(FAST, keep_alive=True) as session:
        for _ in range(3):
            assert (await fetch(asking(server), FAST, session)).body == b"one"
        assert server.dials == 1


async def test_a_kept_connection_that_the_server_gave_up_costs_nothing() -> None:
    async def once_a_connection(asked: Asked) -> None:
        if asked.dial == 0 and len(server.asked) > 1:
            asked.end()
        else:
            await asked.write(answer(200, b"one"))

    async with RawHttp(once_a_connection) as server, open_session(FAST, keep_alive=True) as session:
        for _ in range(2):
            assert (await fetch(asking(server), FAST, session)).body == b"one"
        assert server.dials == 2


async def test_a_server_that_gives_up_every_connection_is_asked_no_third_time() -> None:
    async def once(asked: Asked) -> None:
        if len(server.asked) > 1:
            asked.end()
        else:
            await asked.write(answer(200, b"one"))

    async with RawHttp(once) as server, open_session(FAST, keep_alive=True) as session:
        await fetch(asking(server), FAST, session)
        with pytest.raises(TransportError) as error:
            await fetch(asking(server), FAST, session)
        assert (error.value.reason, len(server.asked)) == ("eof", 3)


async def test_no_cookie_comes_back() -> None:
    script = always(answer(200, b"", set_cookie="track=me; Path=/"))
    async with RawHttp(script) as server, open_session(FAST, keep_alive=True) as session:
        for _ in range(2):
            await fetch(asking(server), FAST, session)
    assert "Cookie" not in server.asked[1].headers
