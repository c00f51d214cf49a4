"""Progress of a long step in its log: rarely, because every line is an event in a database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from spatial_assets.pipeline.outcome import TileOutcome

LINES = 20
"""Lines a run at the most, however many tiles it has."""


@dataclass
class Progress:
    """Counts tiles, and says now and then how far the run is and how long it will take."""

    say: Callable[[str], None]
    total: int
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def count(self, outcome: TileOutcome) -> None:
        """Count a tile; every twentieth part of the run is said."""
        before, self._done = self._done, self._done + 1
        if self._done * LINES // self.total == before * LINES // self.total:
            return
        seconds = time.monotonic() - self._started
        left = seconds / self._done * (self.total - self._done)
        self.say(
            f"{self._done} of {self.total} tiles, last {outcome.tile} {outcome.state}; "
            f"about {left:.0f} s left"
        )
