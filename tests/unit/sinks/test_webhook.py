"""The sink `webhook`: what goes out, what each answer means, and what no message may show."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, event_of, to_json
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import DestinationGone, LeaveAlone
from pricestreamd.sinks.settings import WebhookSinkSettings
from pricestreamd.sinks.webhook.signature import signed_headers, signing_keys
from pricestreamd.sinks.webhook.sink import WebhookSink
from tests.support.receiver import Received, Receiver, reset
from tests.unit.sinks.samples import BEGIN, alert, custom, error

KEYS = bytes(range(32)), bytes(range(100, 164))
SECRETS = [f"whsec_{base64.b64encode(key).decode()}" for key in KEYS]
HIDDEN = ("path-secret", "query-secret", "user-secret", "word-secret", *SECRETS)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


def made(url: str, *, secret: str | None = None, deadline: float = 5.0, **settings: Any) -> WebhookSink:
    settings = {"allow_private": True, **settings}
    kept = Secret(secret) if secret else None
    return WebhookSink(
        "hook",
        WebhookSinkSettings(url=Secret(url), secret=kept, **settings),
        wall=lambda: BEGIN + 0.9,
        deadline=deadline,
    )


async def posted(sink: WebhookSink, *events: Event) -> None:
    await sink.open()
    try:
        for event in events:
            await sink.deliver([event])
    finally:
        await sink.close()


async def failure(sink: WebhookSink, event: Event | None = None) -> SinkError:
    with pytest.raises(SinkError) as caught:
        await posted(sink, event or alert())
    assert caught.value.sink == "hook"
    told = [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    assert not [text for text in told if any(hidden in text for hidden in HIDDEN)]
    return caught.value


def answering(status: int, **headers: str) -> Any:
    async def answer(_request: web.Request, _received: Received) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text="no")

    return answer


# --- what goes out


async def test_each_event_is_a_post_of_its_flat_json_object(receiver: Receiver) -> None:
    events = [alert(7), error(8), custom(mood="calm")]
    await posted(made(receiver.url), *events)
    assert [received["raw"] for received in receiver.requests] == [to_json(event) for event in events]
    first = receiver.requests[0]
    assert event_of(first["raw"]) == events[0]
    assert first["path"] == "/hooks/path-secret?key=query-secret"
    headers = {name.lower(): value for name, value in first["headers"].items()}
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("pricestreamd")
    assert headers["webhook-timestamp"] == str(int(BEGIN))
    assert "webhook-signature" not in headers


async def test_the_id_is_that_of_the_firing_or_of_the_event_and_the_same_at_every_attempt(receiver: Receiver) -> None:
    sink = made(receiver.url)
    await posted(sink, alert(7), error(8), custom(firing_id="of-its-own"))
    await posted(sink, alert(7))
    assert receiver.ids == ["0123456789abcdef", "run-8", "of-its-own", "0123456789abcdef"]


@pytest.mark.parametrize("keys", [KEYS[:1], KEYS[1:], KEYS])
async def test_every_key_signs_id_time_and_body(receiver: Receiver, keys: tuple[bytes, ...]) -> None:
    secret = " ".join(SECRETS[KEYS.index(key)] for key in keys)
    await posted(made(receiver.url, secret=secret), alert())
    (received,) = receiver.requests
    # By the text of the standard, with nothing of ours.
    signed = f"{received['id']}.{received['timestamp']}.".encode() + received["raw"]
    marks = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    assert received["signature"] == " ".join(f"v1,{mark}" for mark in marks)


def test_the_example_of_the_standard_has_the_signature_that_it_says() -> None:
    # The test vector of the reference libraries.
    keys = signing_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRETS[0], SECRETS[1], " ".join(SECRETS)])
async def test_the_reference_library_verifies_what_is_sent_and_signs_as_it_is_signed(
    receiver: Receiver, secret: str
) -> None:
    settings = WebhookSinkSettings(url=Secret(receiver.url), secret=Secret(secret), allow_private=True)
    await posted(WebhookSink("hook", settings), alert())
    (received,) = receiver.requests
    headers = {name.lower(): value for name, value in received["headers"].items()}
    text, at = received["raw"].decode(), datetime.fromtimestamp(int(received["timestamp"]), UTC)
    theirs = [Webhook(each) for each in secret.split()]
    for each in theirs:
        assert each.verify(text, headers) == json.loads(text)
    assert received["signature"] == " ".join(each.sign(received["id"], at, text) for each in theirs)
    with pytest.raises(WebhookVerificationError):
        theirs[0].verify(text.replace("AAPL", "MSFT"), headers)


async def test_one_connection_serves_several_events(receiver: Receiver) -> None:
    ports = set()

    async def note(request: web.Request, _received: Received) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(status=204)

    receiver.answer = note
    await posted(made(receiver.url), alert(1), alert(2), alert(3))
    assert len(ports) == 1


# --- what an answer means


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_success(receiver: Receiver, status: int) -> None:
    receiver.answer = answering(status)
    await posted(made(receiver.url), alert())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504])
async def test_anything_else_is_a_failure_worth_another_attempt(receiver: Receiver, status: int) -> None:
    receiver.answer = answering(status)
    told = await failure(made(receiver.url))
    assert told.transient
    assert str(told) == f"127.0.0.1 answered {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = answering(status, Location=f"http://127.0.0.1:{receiver.port}/elsewhere")
    told = await failure(made(receiver.url))
    assert told.transient
    assert "a redirect, which is not followed" in str(told)
    assert len(receiver.requests) == 1


async def test_410_says_that_the_destination_is_gone(receiver: Receiver) -> None:
    receiver.answer = answering(410)
    told = await failure(made(receiver.url))
    assert isinstance(told, DestinationGone)
    assert not told.transient


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("99999", 900.0), ("Tue, 14 Nov 2023 22:13:50 GMT", 29.1), ("-5", None), ("soon", None)],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_heeded(receiver: Receiver, status: int, text: str, seconds: float | None) -> None:
    receiver.answer = answering(status, **{"Retry-After": text})
    error = await failure(made(receiver.url))
    assert error.retry_after == pytest.approx(seconds)
    # Then nothing at all is tried before.
    assert isinstance(error, LeaveAlone) is (seconds is not None)


# --- the network


async def test_nobody_listening_is_told_by_the_host_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = await failure(made(f"http://user-secret:word-secret@127.0.0.1:{port}/path-secret?x=query-secret"))
    assert told.transient
    assert str(told) == "127.0.0.1: connection refused"


async def test_a_connection_that_is_broken_off_is_a_failure(receiver: Receiver) -> None:
    async def broken(request: web.Request, _received: Received) -> web.StreamResponse:
        return reset(request)

    receiver.answer = broken
    assert (await failure(made(receiver.url))).transient


async def test_what_does_not_speak_http_is_a_failure() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await failure(made(f"http://127.0.0.1:{port}/path-secret"))
    assert told.transient


async def test_a_name_without_an_address_is_a_failure() -> None:
    told = await failure(made("https://nowhere.invalid/path-secret?x=query-secret"))
    assert told.transient
    assert str(told).startswith("nowhere.invalid: its name has no address")


@pytest.mark.parametrize("name", ["127.0.0.1", "elsewhere.test"])
async def test_a_certificate_of_an_unknown_authority_is_refused(name: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(name).configure_cert(tls)

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        told = await failure(made(f"https://127.0.0.1:{port}/path-secret"))
    assert told.transient
    assert str(told).startswith("127.0.0.1: its certificate is refused: ")


# --- reached, without a request


async def probed(sink: WebhookSink) -> str:
    try:
        with pytest.raises(SinkError) as caught:
            await sink.probe()
    finally:
        await sink.close()
    assert not [hidden for hidden in HIDDEN if hidden in str(caught.value)]
    return str(caught.value)


async def test_a_host_is_looked_up_and_connected_to_without_a_request(receiver: Receiver) -> None:
    sink = made(receiver.url)
    await sink.probe()
    await made(receiver.url.replace("127.0.0.1", "localhost")).probe()
    await sink.close()
    assert receiver.requests == []


async def test_a_host_that_leads_nowhere_or_may_not_be_asked_is_told_of(receiver: Receiver) -> None:
    assert (await probed(made("https://nowhere.invalid/path-secret"))).startswith(
        "nowhere.invalid: its name has no address: "
    )
    refused = "127.0.0.1 is no public address: refused; allow its network by allow_private"
    assert await probed(made(receiver.url, allow_private=False)) == refused
    assert "localhost leads to " in await probed(
        made(receiver.url.replace("127.0.0.1", "localhost"), allow_private=False)
    )
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert await probed(made(f"http://127.0.0.1:{closed.getsockname()[1]}/")) == "127.0.0.1: connection refused"


async def test_tls_is_spoken_without_a_request_too(receiver: Receiver) -> None:
    said = await probed(made(receiver.url.replace("http:", "https:")))
    assert said.startswith("127.0.0.1: no TLS: ")
    assert said.endswith(": check the port in its url; where nothing there speaks TLS, name it http://...")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context) as other:
        port = other.sockets[0].getsockname()[1]
        assert "localhost: its certificate is refused: " in await probed(made(f"https://localhost:{port}/"))


# --- what is refused


async def test_what_has_no_form_in_json_is_refused_for_good(receiver: Receiver) -> None:
    told = await failure(made(receiver.url), custom(thing=object()))
    assert not told.transient
    assert receiver.requests == []


# --- made wrongly


@pytest.mark.parametrize("url", ["ftp://host/x", "mailto://x", "http:///path-secret", "http://[::1/path-secret"])
def test_an_address_that_is_none_is_refused_when_the_sink_is_made(url: str) -> None:
    with pytest.raises(SinkError) as caught:
        made(url)
    assert not any(hidden in str(caught.value) for hidden in HIDDEN)


def test_a_secret_that_cannot_sign_is_refused_when_the_sink_is_made() -> None:
    with pytest.raises(SinkError, match="expected whsec_ and base64 of 24 to 64 bytes, got 5 bytes"):
        made("http://host/", secret="whsec_c2hvcnQ=")
