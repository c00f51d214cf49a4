"""Contiguous ranges of keys, which Dagster can run at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KeyRange:
    """Consecutive keys along the curve, both ends included."""

    first: str
    last: str
    count: int

    @property
    def option(self) -> str:
        """The option for Dagster's command line."""
        if self.count == 1:
            return f"--partition {self.first}"
        return f"--partition-range {self.first}...{self.last}"


def key_ranges(keys: Sequence[str], chosen: Iterable[str], *, longest: int) -> tuple[KeyRange, ...]:
    """Return the ranges of `keys` that hold exactly the `chosen` ones.

    Args:
        keys: all keys, in their order.
        chosen: some of them.
        longest: largest number of keys in a range; a longer one is split.
    """
    selected = set(chosen)
    runs: list[list[str]] = [[]]
    for key in keys:
        if key not in selected:
            runs.append([])
        elif len(runs[-1]) == longest:
            runs.append([key])
        else:
            runs[-1].append(key)
    return tuple(KeyRange(run[0], run[-1], len(run)) for run in runs if run)
