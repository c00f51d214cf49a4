"""Plots of a run: bars of the contestants, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row

OURS = "spatial_assets"
OUR_COLOUR, THEIR_COLOUR, LIMIT_COLOUR = "#1b7f5c", "#9aa5b1", "#d9a441"
MEASURES = {
    "cpu": ("CPU of a tile", "CPU seconds a tile"),
    "wall": ("A tile by the clock, one process", "seconds a tile"),
    "memory": ("Memory of the largest process", "MB, peak"),
}
"""Title and axis of each plot."""


def figures_of(rows: Sequence[Row], measure: str) -> dict[str, float]:
    """What each contestant took, we first and then the least."""
    found = {str(r["contestant"]): r for r in rows if r.get("measure") == measure}
    if not found:
        return {}
    ours = next(iter(found.values()))["ours"]
    theirs = {name: number(each["theirs"]) for name, each in found.items()}
    return {OURS: number(ours), **dict(sorted(theirs.items(), key=lambda pair: pair[1]))}


def number(value: object) -> float:
    """A figure of a row.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def write(rows: Sequence[Row], folder: Path) -> dict[str, Path]:
    """A plot for each measure that was taken, by the measure's name."""
    written = {}
    for measure, (title, axis) in MEASURES.items():
        figures = figures_of(rows, measure)
        if figures:
            path = folder / f"benchmark_{measure}.svg"
            bars(figures, title=title, axis=axis, path=path)
            written[measure] = path
    return written


def bars(figures: dict[str, float], *, title: str, axis: str, path: Path) -> None:
    """One bar for each contestant, with its figure beside it."""
    import matplotlib as mpl  # noqa: PLC0415 - only `make bench` installs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    # A fixed salt and no date: the same figures make the same file. Text stays text.
    style = {"svg.hashsalt": "spatial_assets", "svg.fonttype": "none", "font.size": 10}
    with mpl.rc_context(style):
        figure = Figure(figsize=(8, 0.9 + 0.42 * len(figures)), layout="constrained")
        axes = figure.subplots()
        drawn = axes.barh(
            list(figures), list(figures.values()), color=[colour(name) for name in figures]
        )
        least = figures[OURS]
        axes.bar_label(
            drawn,
            labels=[f"{label(value)}  ({value / least:.2g}x)" for value in figures.values()],
            padding=4,
        )
        axes.invert_yaxis()
        axes.margins(x=0.18)
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(axis)
        # Room at the sides: whoever shows the file may have a wider font.
        figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.4)
    strip_trailing_spaces(path)


def label(value: float) -> str:
    """A figure with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def strip_trailing_spaces(path: Path) -> None:
    """Matplotlib ends lines of an SVG with spaces, which every review would show."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")


def colour(name: str) -> str:
    """We, the limit, and everybody else."""
    return {OURS: OUR_COLOUR, "the limit": LIMIT_COLOUR}.get(name, THEIR_COLOUR)
