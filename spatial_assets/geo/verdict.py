"""The result of a check on pixels or features: passed or not, and the evidence to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """The result of one check."""

    passed: bool
    """False means the data must not be written as it is."""

    evidence: Mapping[str, float | int | str] = field(default_factory=dict)
    """Figures behind the result, by name."""
