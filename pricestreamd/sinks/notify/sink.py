"""The sink `notify`: messages to people, through the library Apprise.

    alert out of the outbox --+--> address 1: repeats -> texts -> thread -> Apprise
                              +--> address 2: ...
    other events, in batches ----> the same, without the rule of repeats

An alert leaves the outbox when every address has it, by itself or in a message that tells of several. Until then it is
put off (`NotYet`), which costs no attempt, or has failed, and is tried again by the sink's `retry` at the addresses
that lack it. So a crash loses none: the next run tells of what is left. What it may lose is said in `repeats`.

Needs the extra `notify`; the library is imported by the first sink that is opened, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event, PriceAlert
from pricestreamd.sinks.base import message_id
from pricestreamd.sinks.not_yet import Counted, NotYet
from pricestreamd.sinks.notify.address import NotifyAddress
from pricestreamd.sinks.notify.templates import template_fault
from pricestreamd.sinks.notify.texts import Texts
from pricestreamd.sinks.settings import NotifySinkSettings

# One message to one address: connecting, sending, and the pause that Apprise keeps between two.
DEADLINE = 30.0
# Of a batch of events other than alerts.
MOST_TOGETHER = 100
# A wait no longer than that is for other addresses, or for others to join; a failure beside it is told afterwards.
SHORT_SECONDS = 5.0

_log = logging.getLogger(__name__)

Storm = Callable[[PriceAlert], bool]
"""Whether a firing, each asked for once, is beyond what a minute may hold of its alert and symbol."""


def no_storm(_alert: PriceAlert) -> bool:
    """Every firing is told of one by one."""
    return False


class NotifySink:
    """Tells people. `clock` is monotonic, `wall` gives epoch seconds; `deadline` in seconds, for one message.

    Raises:
        SinkError: a template cannot be used.
    """

    carries = ("*",)
    most_at_once = MOST_TOGETHER

    def __init__(
        self,
        name: str,
        settings: NotifySinkSettings,
        *,
        storm: Storm = no_storm,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        deadline: float = DEADLINE,
    ) -> None:
        self.name = name
        self.settings = settings
        # An address that hangs holds one place, and there is one more.
        self.concurrent = len(settings.urls) + 1
        self._storm = storm
        self._counted_at_close = 0
        self._clock = clock
        for event, template in settings.templates.items():
            if fault := template_fault(event, template):
                raise SinkError(f"sink {name}: template of {event}: {fault}", sink=name, transient=False)
        texts = Texts(settings.templates, settings.max_age)
        self._addresses = [
            NotifyAddress(
                url,
                f"urls[{index}]",
                name,
                settings.repeat_after,
                texts,
                clock=clock,
                wall=wall,
                deadline=deadline,
            )
            for index, url in enumerate(settings.urls)
        ]

    async def open(self) -> None:
        """Load the library and make the addresses ready. Nothing is sent.

        Raises:
            SinkError: the library is missing, or an address is not understood.
        """
        _raise_first(await asyncio.gather(*(each.open() for each in self._addresses), return_exceptions=True))

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Tell of `batch` at once, in as few messages as have a line for each event.

        Raises:
            SinkError: an address has not taken it; made again, it goes to those only that lack it.
        """
        if batch:
            told = (each.tell_all(batch) for each in self._addresses)
            _raise_first(await asyncio.gather(*told, return_exceptions=True))

    async def deliver_in_turn(self, event: Event) -> bool:
        """Tell of one event out of the outbox; of an alert by the rule of repeats, perhaps with others.

        False: every address was told before.

        Raises:
            NotYet: its message leaves later.
            Counted: a message that leaves later tells how many there were, and of this one nothing else.
            SinkError: an address has not taken it.
        """
        if not isinstance(event, PriceAlert):
            await self.deliver([event])
            return True
        key, now = message_id(event), self._clock()
        new = not any(each.repeats.knows(key) for each in self._addresses)
        storm = new and self._storm(event)
        counted = [each.repeats.enter(key, event, now, storm=storm) for each in self._addresses]
        told_before = all(each.repeats.told(key) for each in self._addresses)
        found = await asyncio.gather(*(each.tell(key) for each in self._addresses), return_exceptions=True)
        waits = [wait for wait in found if isinstance(wait, float) and wait > 0]
        if waits and min(waits) <= SHORT_SECONDS:
            raise NotYet(min(waits), sink=self.name)
        _raise_first(found)
        if waits:
            raise NotYet(min(waits), sink=self.name)
        if any(counted):
            raise Counted(sink=self.name)
        return not told_before

    async def close(self) -> None:
        """Let go of the threads. What hangs in one holds nobody up."""
        counted = max(each.repeats.counted for each in self._addresses)
        before, self._counted_at_close = self._counted_at_close, counted
        if counted and counted != before:
            text = "sink %s: %d alerts were only counted for messages that have not left: they are in no later message"
            _log.warning(text, self.name, counted, extra={"action": "sink_count_lost"})
        await asyncio.gather(*(each.close() for each in self._addresses))


def _raise_first(results: Sequence[object]) -> None:
    """Raise what went wrong, of all addresses in one error where each said what it is."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, SinkError):
            raise error
    if len(errors) > 1:
        raise SinkError("; ".join(map(str, errors)), sink=getattr(errors[0], "sink", "")) from errors[0]
    if errors:
        raise errors[0]
