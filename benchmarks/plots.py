"""Bar charts of the contestants as SVG files."""

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
    """Figures of each contestant: ours first, then in ascending order."""
    found = {str(r["contestant"]): r for r in rows if r.get("measure") == measure}
    if not found:
        return {}
    ours = next(iter(found.values()))["ours"]
    theirs = {name: number(each["theirs"]) for name, each in found.items()}
    return {OURS: number(ours), **dict(sorted(theirs.items(), key=lambda pair: pair[1]))}


def number(value: object) -> float:
    """Return a figure of a row.

    Raises:
        TypeError: it is not a number.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def write(rows: Sequence[Row], folder: Path) -> dict[str, Path]:
    """Write a plot for each measure, and return the paths by measure."""
    written = {}
    for measure, (title, axis) in MEASURES.items():
        figures = figures_of(rows, measure)
        if figures:
            path = folder / f"benchmark_{measure}.svg"
            bars(figures, title=title, axis=axis, path=path)
            written[measure] = path
    return written


def bars(figures: dict[str, float], *, title: str, axis: str, path: Path) -> None:
    """Draw one bar for each contestant, labelled with its figure."""
    import matplotlib as mpl  # noqa: PLC0415 - only `make bench` installs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    # A fixed salt and no date, so that equal figures make equal files. Text stays text.
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
        # Margin at the sides, since the font of the reader may be wider.
        figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.4)
    strip_trailing_spaces(path)


def label(value: float) -> str:
    """Format a figure with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def strip_trailing_spaces(path: Path) -> None:
    """Remove trailing spaces, which Matplotlib writes in SVG and every review would show."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")


def colour(name: str) -> str:
    """Colour of a contestant: ours, the limit, or another."""
    return {OURS: OUR_COLOUR, "the limit": LIMIT_COLOUR}.get(name, THEIR_COLOUR)
