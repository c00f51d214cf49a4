"""Faults and the events at which they occur; all follow from a seed, so a round can be repeated.

A fault depends on the request and on how often it was made before, not on the order in which
processes happen to make requests.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class FaultInjector:
    """Source of the faults of one round."""

    seed: str
    share: float = 0.0
    """Share of all requests or statements that meet a fault, 0 to 1."""

    kinds: Mapping[str, int] = field(default_factory=dict)
    """Fault -> its weight relative to the others."""

    injected: Counter[str] = field(default_factory=Counter, init=False)
    """Fault -> number of times it was injected."""

    _seen: Counter[str] = field(default_factory=Counter, init=False)

    def draw(self, event: str, *, share: float | None = None) -> str:
        """Return the fault for a request or statement; empty: none."""
        self._seen[event] += 1
        dice = random.Random(f"{self.seed} {event} {self._seen[event]}")
        if not self.kinds or dice.random() >= (self.share if share is None else share):
            return ""
        (fault,) = dice.choices(list(self.kinds), weights=list(self.kinds.values()))
        self.injected[fault] += 1
        return fault


NO_FAULTS = FaultInjector(seed="calm")


@dataclass
class EventTrigger:
    """Counter of the requests and statements in the relays that runs an action at one of them."""

    at: int = 0
    """Number of the event that triggers the action; 0: never."""

    action: Callable[[], None] | None = None
    count: int = 0

    async def record(self) -> None:
        """Count an event; it waits until the action is done."""
        self.count += 1
        if self.count == self.at and self.action is not None:
            await asyncio.to_thread(self.action)
