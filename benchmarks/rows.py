"""A row of the results: what was measured, beside what, and whether it is as good as it must be."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

Row = dict[str, object]
"""what, ours, theirs, ratio, target, ok, unit; a row may say more, see `benchmarks.contest`."""


def row(
    what: str,
    ours: float,
    theirs: float,
    *,
    most: float | None,
    unit: str,
    least: float | None = None,
) -> Row:
    """A cost of ours as a multiple of another's.

    Args:
        what: was measured.
        ours: in `unit`.
        theirs: in `unit`.
        most: that the ratio ours / theirs may be; None: nothing is demanded.
        unit: of both.
        least: that the ratio must be, where less would not be better.
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
    """A figure of ours that has a limit of its own, and nothing to stand beside."""
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
    """The row, when a line about it has been printed."""
    print(describe(found), flush=True)
    return found


def describe(found: Row) -> str:
    """A row as a line."""
    theirs, ratio = found["theirs"], found["ratio"]
    beside = "" if theirs is None else f" against {theirs:.4g}"
    times = "" if ratio is None else f", x {ratio:.3g}"
    wanted = "" if found["target"] is None else f", at most {found['target']:.3g}: {verdict(found)}"
    return f"{found['what']}: {found['ours']:.4g}{beside} {found['unit']}{times}{wanted}"


def verdict(found: Row) -> str:
    """What a target came to: nothing where there is none."""
    if found["target"] is None:
        return ""
    return "reached" if found["ok"] else "MISSED"


def wall(work: Callable[[], object]) -> float:
    """Seconds that `work` takes by the clock on the wall."""
    started = perf_counter()
    work()
    return perf_counter() - started
