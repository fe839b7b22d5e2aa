"""What can be set about sinks: which events leave, and how.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pricestreamd.model.events import Severity
from pricestreamd.model.secret import Secret
from pricestreamd.model.units import Delay, Duration, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """The queue between the stream and a sink. `size` counts events."""

    size: int = field(default=10_000, metadata={"at_least": 1, "at_most": 10_000_000})
    """Events that may wait."""
    policy: Literal["drop_oldest", "drop_newest", "conflate"] = "drop_oldest"
    """What gives way when it is full; conflate keeps the newest price.update of each symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """How many events a sink gets at once. `interval` in seconds."""

    size: int = field(default=100, metadata={"at_least": 1})
    """A batch is full at so many events."""
    interval: Delay = field(default=1.0, metadata={"at_least": 0})
    """A batch that is not full leaves after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """Where events of a durable sink wait on the disk. `size` in bytes; an event takes 25 to 100 of them."""

    size: Size = field(default=256 * 1024 * 1024, metadata={"at_least": 1024 * 1024})
    """At most so large; when it is full, the oldest events give way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """When a failed delivery is tried again. Seconds; `jitter` is a fraction of the delay.

    After the last delay the batch is given up and counted, unless `max_age` is set: then the last delay repeats until
    the batch is so old.
    """

    delays: tuple[Delay, ...] = field(default=(1.0, 2.0, 5.0, 10.0, 30.0), metadata={"at_least": 0})
    """Delay before each further attempt."""
    jitter: float = field(default=0.2, metadata={"at_least": 0, "at_most": 1})
    """Fraction by which a delay is randomly shorter or longer."""
    max_age: Duration | None = field(default=3600.0, metadata={"above": 0})
    """Older batches are given up; null: after the last delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflatedQueueSettings(QueueSettings):
    """A queue for those who want the newest price only. `size` counts events."""

    policy: Literal["drop_oldest", "drop_newest", "conflate"] = "conflate"
    """What gives way when it is full; conflate keeps the newest price.update of each symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRetrySettings(RetrySettings):
    """The schedule that Standard Webhooks recommends; after its end the event is given up. Seconds."""

    delays: tuple[Delay, ...] = field(
        default=(0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0), metadata={"at_least": 0}
    )
    """Delay before each further attempt."""
    max_age: Duration | None = field(default=None, metadata={"above": 0})
    """Older batches are given up; null: after the last delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRetrySettings(RetrySettings):
    """A function of yours is called again soon, and once a minute for a day. Seconds."""

    delays: tuple[Delay, ...] = field(default=(0.0, 1.0, 5.0, 30.0, 60.0), metadata={"at_least": 0})
    """Delay before each further attempt."""
    max_age: Duration | None = field(default=86_400.0, metadata={"above": 0})
    """Older batches are given up; null: after the last delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRetrySettings(RetrySettings):
    """A person is told as soon as the service is back, for a day: late is better than never. Seconds."""

    delays: tuple[Delay, ...] = field(default=(2.0, 10.0, 30.0, 60.0, 300.0), metadata={"at_least": 0})
    """Delay before each further attempt."""
    max_age: Duration | None = field(default=86_400.0, metadata={"above": 0})
    """Older batches are given up; null: after the last delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisRetrySettings(RetrySettings):
    """A last price is wanted as soon as the server is back, whenever that is. Seconds."""

    delays: tuple[Delay, ...] = field(default=(0.5, 1.0), metadata={"at_least": 0})
    """Delay before each further attempt."""
    max_age: Duration | None = field(default=86_400.0, metadata={"above": 0})
    """Older batches are given up; null: after the last delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """What every sink has; its name is the key it has in the file."""

    events: tuple[str, ...] = field(default=("*",), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    symbols: tuple[str, ...] = field(default=("*",), metadata={"form": "symbol"})
    """Symbols it gets, globs allowed."""
    min_severity: Severity = "info"
    """price.error below this severity is left out."""
    queue: QueueSettings = field(default_factory=QueueSettings)
    """The queue in front of it."""
    batch: BatchSettings = field(default_factory=BatchSettings)
    """How many events at once."""
    retry: RetrySettings = field(default_factory=RetrySettings)
    """When a failed delivery is tried again."""
    durable: bool = False
    """Every event outlasts a crash and an outage, not only price.alert."""
    spool: SpoolSettings = field(default_factory=SpoolSettings)
    """Where the events of a durable sink wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatchSettings(BatchSettings):
    """As of other sinks, but written at once: somebody may be looking."""

    interval: Delay = field(default=0.02, metadata={"at_least": 0})
    """A batch that is not full leaves after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSinkSettings(SinkSettings):
    """Events into the log. Always there unless one is configured."""

    type: Literal["log"] = "log"
    """log"""
    events: tuple[str, ...] = field(default=("price.alert", "price.error"), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    batch: LogBatchSettings = field(default_factory=LogBatchSettings)
    """How many events at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateSettings:
    """When a file is put aside and a new one begun: at a size in bytes, or after so many seconds."""

    size: Size | None = field(default=None, metadata={"at_least": 1024})
    """At this size."""
    every: Duration | None = field(default=None, metadata={"at_least": 1})
    """After this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSinkSettings(SinkSettings):
    """Events into a file, one JSON object a line."""

    type: Literal["file"] = "file"
    """file"""
    path: Path = field(metadata={"path": "written"})
    """The file; a relative path begins at the state directory."""
    rotate: RotateSettings | None = None
    """When a new file is begun."""
    compress: Literal["zstd"] | None = None
    """Compress files put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSinkSettings(SinkSettings):
    """Prices into the table `prices` of a SQLite file. `retention` in seconds."""

    type: Literal["sqlite"] = "sqlite"
    """sqlite"""
    path: Path = field(metadata={"path": "written"})
    """The file; a relative path begins at the state directory."""
    events: tuple[str, ...] = field(default=("price.update",), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    retention: Duration | None = field(default=None, metadata={"above": 0})
    """Older rows are deleted; null keeps all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSinkSettings(SinkSettings):
    """Prices into the table `prices` of a PostgreSQL database."""

    type: Literal["postgres"] = "postgres"
    """postgres"""
    url: Secret = field(metadata={"secret": "url"})
    """postgresql://user:password@host/database"""
    events: tuple[str, ...] = field(default=("price.update",), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStreamSettings:
    """A Redis stream that gets every event."""

    key: str
    """Its key."""
    maxlen: int = field(default=10_000, metadata={"at_least": 1})
    """About so many entries are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisPubsubSettings:
    """A Redis channel that gets every event."""

    channel: str
    """Its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSinkSettings(SinkSettings):
    """The last price of each symbol as a Redis key that expires. `ttl` in seconds."""

    type: Literal["redis"] = "redis"
    """redis"""
    url: Secret = field(metadata={"secret": "url"})
    """redis://host:port/db, rediss:// for TLS."""
    events: tuple[str, ...] = field(default=("price.update",), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    queue: ConflatedQueueSettings = field(default_factory=ConflatedQueueSettings)
    """The queue in front of it."""
    retry: RedisRetrySettings = field(default_factory=RedisRetrySettings)
    """When a failed delivery is tried again."""
    prefix: str = "price:"
    """Keys are <prefix>last:<symbol>."""
    ttl: Duration = field(default=300.0, metadata={"at_least": 1})
    """Keys expire after this time."""
    stream: RedisStreamSettings | None = None
    """Also append events to a stream."""
    pubsub: RedisPubsubSettings | None = None
    """Also publish events to a channel."""

    def __post_init__(self) -> None:
        """A stream or a channel gets every event: with one of them nothing is conflated."""
        if (self.stream or self.pubsub) and self.queue.policy == "conflate":
            object.__setattr__(self, "queue", replace(self.queue, policy="drop_oldest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsTlsSettings:
    """Whose certificates count, and one of our own. With it TLS is demanded."""

    ca_file: Path | None = field(default=None, metadata={"path": "read"})
    """A private certificate authority, PEM."""
    cert_file: Path | None = field(default=None, metadata={"path": "read"})
    """Our own certificate, for a server that asks for one, PEM."""
    key_file: Path | None = field(default=None, metadata={"path": "read"})
    """Its private key, PEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsSinkSettings(SinkSettings):
    """Events into NATS JetStream, subject `<prefix>.<event>.<symbol>`."""

    type: Literal["nats"] = "nats"
    """nats"""
    url: Secret = field(metadata={"secret": "url"})
    """nats://host:port, tls:// for TLS."""
    credentials: Path | None = field(default=None, metadata={"path": "read"})
    """A .creds file, or one with the seed of an NKEY."""
    tls: NatsTlsSettings | None = None
    """Speak TLS, with these files."""
    prefix: str = "pricestream"
    """First part of the subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSinkSettings(SinkSettings):
    """Each event by POST, signed by Standard Webhooks. `allow_private` True or networks such as `10.0.0.0/8`."""

    type: Literal["webhook"] = "webhook"
    """webhook"""
    url: Secret = field(metadata={"secret": "url"})
    """https://..."""
    secret: Secret | None = field(default=None, metadata={"secret": "value"})
    """whsec_...: signs each request; while one replaces another, both, with a space between."""
    secret_file: Path | None = field(default=None, metadata={"path": "read", "secret": "file"})
    """A file that holds it; read again at each reload."""
    events: tuple[str, ...] = field(default=("price.alert", "price.error"), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    retry: WebhookRetrySettings = field(default_factory=WebhookRetrySettings)
    """When a failed delivery is tried again."""
    allow_private: bool | tuple[str, ...] = field(default=False, metadata={"form": "network"})
    """Private addresses are refused unless true, or a list of networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySinkSettings(SinkSettings):
    """Messages to people through the Apprise library. Times in seconds."""

    type: Literal["notify"] = "notify"
    """notify"""
    urls: tuple[Secret, ...] = field(metadata={"secret": "url", "entries": 1})
    """Apprise addresses, such as ntfy://host/topic."""
    events: tuple[str, ...] = field(default=("price.alert", "price.error"), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    min_severity: Severity = "critical"
    """price.error below this severity is left out."""
    retry: NotifyRetrySettings = field(default_factory=NotifyRetrySettings)
    """When a failed delivery is tried again."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Event to text, with {field} for its fields."""
    repeat_after: Duration = field(default=900.0, metadata={"at_least": 0})
    """At most one message per alert and symbol in this time; at its end one tells how many more there were."""
    max_age: Duration = field(default=3600.0, metadata={"above": 0})
    """Older messages say LATE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSinkSettings(SinkSettings):
    """A function or coroutine function of yours, called until it returns. `timeout` in seconds."""

    type: Literal["call"] = "call"
    """call"""
    call: str = field(metadata={"form": "callable"})
    """package.module:callable"""
    events: tuple[str, ...] = field(default=("price.alert",), metadata={"form": "event"})
    """Events it gets: names, families such as price.*, or *."""
    retry: CallRetrySettings = field(default_factory=CallRetrySettings)
    """When a failed call is made again."""
    timeout: Duration = field(default=30.0, metadata={"above": 0})
    """A coroutine function is cancelled after it; a plain function goes on, and other events are called beside it."""


AnySinkSettings = (
    LogSinkSettings
    | FileSinkSettings
    | SqliteSinkSettings
    | PostgresSinkSettings
    | RedisSinkSettings
    | NatsSinkSettings
    | WebhookSinkSettings
    | NotifySinkSettings
    | CallSinkSettings
)
"""One of the sinks; `type` tells which."""
