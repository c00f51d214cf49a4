"""Contiguous ranges of keys: what Dagster can run at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KeyRange:
    """Neighbours along the curve, both ends included."""

    first: str
    last: str
    count: int

    @property
    def option(self) -> str:
        """As Dagster's command line takes it."""
        if self.count == 1:
            return f"--partition {self.first}"
        return f"--partition-range {self.first}...{self.last}"


def key_ranges(keys: Sequence[str], chosen: Iterable[str], *, longest: int) -> tuple[KeyRange, ...]:
    """The ranges of `keys` that hold exactly the `chosen` ones.

    Args:
        keys: all keys, in their order.
        chosen: some of them.
        longest: most keys of a range; a longer one is cut.
    """
    wanted = set(chosen)
    runs: list[list[str]] = [[]]
    for key in keys:
        if key not in wanted:
            runs.append([])
        elif len(runs[-1]) == longest:
            runs.append([key])
        else:
            runs[-1].append(key)
    return tuple(KeyRange(run[0], run[-1], len(run)) for run in runs if run)
