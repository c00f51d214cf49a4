"""What goes wrong, and when: everything follows from a seed, so that a round can be had again.

A fault hangs on what is asked and for the how manyeth time, not on the order in which processes
happen to ask.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Storm:
    """The faults of one round."""

    seed: str
    share: float = 0.0
    """Of all that is asked, 0 to 1."""

    kinds: Mapping[str, int] = field(default_factory=dict)
    """Fault -> its weight among the others."""

    struck: Counter[str] = field(default_factory=Counter, init=False)
    """Fault -> how often it struck."""

    _asked: Counter[str] = field(default_factory=Counter, init=False)

    def draw(self, question: str, *, share: float | None = None) -> str:
        """The fault that meets a question; empty: none."""
        self._asked[question] += 1
        dice = random.Random(f"{self.seed} {question} {self._asked[question]}")
        if not self.kinds or dice.random() >= (self.share if share is None else share):
            return ""
        (fault,) = dice.choices(list(self.kinds), weights=list(self.kinds.values()))
        self.struck[fault] += 1
        return fault


CALM = Storm(seed="calm")


@dataclass
class Pulse:
    """Counts what passes the relays, and does something at one moment of it."""

    at: int = 0
    """The moment: how much has passed; 0: never."""

    act: Callable[[], None] | None = None
    count: int = 0

    async def beat(self) -> None:
        """Count; what passes now waits until the act is done."""
        self.count += 1
        if self.count == self.at and self.act is not None:
            await asyncio.to_thread(self.act)
