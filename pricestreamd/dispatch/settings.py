"""What can be set about listeners: functions of yours that hear events inline.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """One function and the events it hears. Higher priority is called first."""

    event: str = field(metadata={"form": "event"})
    """An event, a family such as price.*, or *."""
    call: str = field(metadata={"form": "callable"})
    """package.module:callable; it must be quick."""
    priority: int = 0
    """Higher is called first."""
