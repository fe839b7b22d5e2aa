"""Where messages to people arrive: a mail server that keeps what it gets, and a sink's clock that is moved by hand."""

from __future__ import annotations

import socket
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


class Mailbox:
    """Listens on 127.0.0.1 within `with`, on the same port again after `stop` and `start`. `answer` is that to DATA."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.answer = "250 OK"
        self.mails: list[tuple[str, str]] = []
        self._controller: Controller | None = None

    @property
    def address(self) -> str:
        """How Apprise is told of it."""
        return f"mailto://127.0.0.1:{self.port}?from=watch@example.org&to=me@example.org&mode=insecure"

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:
        """One mail: its subject and its text."""
        if self.answer.startswith("2"):
            mail = message_from_bytes(envelope.content)
            text = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
            body = text.get_payload(decode=True)
            assert isinstance(body, bytes)
            self.mails.append((str(make_header(decode_header(mail["Subject"]))), body.decode().strip()))
        return self.answer


class HandClock:
    """A monotonic clock and a wall clock in one, that stand still until `now` is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
