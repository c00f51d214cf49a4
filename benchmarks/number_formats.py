"""Numbers and tables formatted for reading."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table, with the first column left-aligned and figures right-aligned."""
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *lines))


def three_digits(value: float) -> str:
    """Format a number with three significant digits."""
    for size, word in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if value >= size:
            return f"{value / size:.3g}{word}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"  # noqa: PLR2004 - three digits


def hours(value: float) -> str:
    """Format hours, or minutes if there are few."""
    if value >= 48:  # noqa: PLR2004 - two days
        return f"{value / 24:,.1f} days"
    return f"{value:.1f} h" if value >= 1 else f"{max(value * 60, 0.1):.1f} min"


def byte_size(value: float) -> str:
    """Format a number of bytes."""
    return f"{value / 1e12:,.1f} TB" if value >= 1e12 else f"{value / 1e9:,.0f} GB"  # noqa: PLR2004
