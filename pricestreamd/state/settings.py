"""What can be set about the state: where lasting facts are kept.

The metadata of the fields is explained in `feeds.settings`. The text under a field is its line in the JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """The one file of lasting facts: alert state, outbox, what was made over the API, the last watchlist."""

    path: Path = field(default=Path("state.db"), metadata={"path": "written"})
    """The SQLite file; a relative path begins at the state directory."""
