"""A row of the results: what was measured, beside what, and whether it is as good as it must be."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

Row = dict[str, object]


def row(what: str, ours: float, theirs: float, *, most: float | None, unit: str) -> Row:
    """A cost of ours as a multiple of another's.

    Args:
        what: was measured.
        ours: in `unit`.
        theirs: in `unit`.
        most: that the ratio ours / theirs may be; None: nothing is demanded.
        unit: of both.
    """
    ratio = ours / theirs
    is_good = most is None or ratio <= most
    found: Row = {
        "what": what,
        "ours": ours,
        "theirs": theirs,
        "ratio": ratio,
        "target": most,
        "ok": is_good,
        "unit": unit,
    }
    wanted = "" if most is None else f", at most {most:g}: {'reached' if is_good else 'MISSED'}"
    print(f"{what}: {ours:.4g} against {theirs:.4g} {unit}, x {ratio:.3g}{wanted}", flush=True)
    return found


def wall(work: Callable[[], object]) -> float:
    """Seconds that `work` takes by the clock on the wall."""
    started = perf_counter()
    work()
    return perf_counter() - started
