"""A row of the results: a measurement, its comparison, and whether it reached its target."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

Row = dict[str, object]
"""what, ours, theirs, ratio, target, ok, unit; `benchmarks.contest` adds keys."""


def row(
    what: str,
    ours: float,
    theirs: float,
    *,
    most: float | None,
    unit: str,
    least: float | None = None,
) -> Row:
    """Our cost as a multiple of another's.

    Args:
        what: name of the measurement.
        ours: our cost in `unit`.
        theirs: the other cost in `unit`.
        most: maximum of the ratio ours / theirs; None: no target.
        unit: unit of both costs.
        least: minimum of the ratio, if less would not be better.
    """
    ratio = ours / theirs
    is_good = (most is None or ratio <= most) and (least is None or ratio >= least)
    return printed(
        {
            "what": what,
            "ours": ours,
            "theirs": theirs,
            "ratio": ratio,
            "target": most,
            "ok": is_good,
            "unit": unit,
        }
    )


def bound(what: str, ours: float, *, most: float | None, unit: str) -> Row:
    """A figure of ours with an absolute limit and no comparison."""
    return printed(
        {
            "what": what,
            "ours": ours,
            "theirs": None,
            "ratio": None,
            "target": most,
            "ok": most is None or ours <= most,
            "unit": unit,
        }
    )


def printed(found: Row) -> Row:
    """Print a row and return it."""
    print(describe(found), flush=True)
    return found


def describe(found: Row) -> str:
    """Format a row as a line."""
    theirs, ratio = found["theirs"], found["ratio"]
    beside = "" if theirs is None else f" against {theirs:.4g}"
    times = "" if ratio is None else f", x {ratio:.3g}"
    wanted = "" if found["target"] is None else f", at most {found['target']:.3g}: {verdict(found)}"
    return f"{found['what']}: {found['ours']:.4g}{beside} {found['unit']}{times}{wanted}"


def verdict(found: Row) -> str:
    """Outcome of the target; empty if the row has none."""
    if found["target"] is None:
        return ""
    return "reached" if found["ok"] else "MISSED"


def wall(work: Callable[[], object]) -> float:
    """Wall time of `work` in seconds."""
    started = perf_counter()
    work()
    return perf_counter() - started
