"""docs/benchmarks.md and its plots, made from the document of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import contest, plots
from benchmarks.contestants import ours
from benchmarks.contestants.task import Contestant
from benchmarks.results import cells_of
from benchmarks.rows import Row

USUAL_MINUTES = 40
DOCS = Path(__file__).parents[1] / "docs"
HEAD = """\
# Benchmarks

Written by `python -m benchmarks page`; the figures are those of one run, and nobody edits them.

```sh
make bench          # everything at full size, about {minutes} minutes, then this page
make bench-quick    # less of it, in under three minutes
```

Absolute figures are those of the machine named below. Ratios hold elsewhere, since all contestants
take turns in one run. A ratio is our cost divided by the other's: 0.25 is four times cheaper.
"""
METHOD = """\
## What is measured, and how

**The task.** Three made-up Sentinel-2 granules of one place, 10,980 x 10,980 pixels: red and nir at
10 m as cloud-optimised GeoTIFF (DEFLATE, predictor 2, blocks of 1,024, overviews), the scene
classification at 20 m, on the local disk. Noise makes them as hard to compress as real ones: the
row `lossless size` says how close that is. From them, tiles of 2,048 x 2,048 pixels
in web-mercator (zoom 14, 9.55 m of the projection): bilinear resampling, clouds masked by class,
NDVI of each day, median of the days, number of observations.

**The contest.** Each contestant is a process of its own. All first make one tile that is not timed,
which loads libraries and compiles what is compiled, and whose NDVI is compared with ours: 99 % of
the pixels must agree on being known and 99 % of those lie within 0.01, or the benchmark stops.
(They differ because GDAL approximates coordinates to an eighth of a pixel unless told not to.)
Then they take turns at twelve neighbouring tiles. (Our pipeline looks into every scene before its
first tile, which here is shared by twelve tiles; a whole scene has about fifty.) CPU seconds are
those of the process and of all that it starts; memory is the peak of its largest process, as Linux
notes it; of the repeats the median counts.

**Orchestration.** The same pipeline as a range run of Dagster on SQLite, with its checks, events
and metadata, beside itself without Dagster: two worker processes each, by the clock. The usual
shape of a Dagster project is one asset a stage and one run a partition: `dagster asset
materialize` with default settings, start-up included for both. Prefect's `.map` and our range
run do the same nothing for 400 tiles; server, flow and instance are up before. Prefect notes
results after the flow has gone on, Dagster before its run ends: both ways of counting are given.

**Far away.** The same scenes in a real S3 server, behind a line that holds back every answer for
50 ms and passes 200 Mbit/s in all. Each contestant has made a tile of the same scenes from disk
before, so that libraries are loaded and nothing of the far ones is in a cache. `/vsis3` has GDAL's
defaults, but for being told where the server is.

**Scale.** The same tiles by one and by two local workers, and by two and four of a real Dask
cluster on this machine; then tiles that take no time but carry as many bytes as real ones, to see
whether the last cost driver and scheduler as much as the first.

**Tables.** `to_postgis` and our bulk path load the same polygons into a table with the same columns
and a spatial index, on the same private PostGIS server.
"""


def write(found: Mapping[str, Any], docs: Path = DOCS) -> Path:
    """Write page and plots.

    Args:
        found: as `benchmarks.results.document` makes it.
        docs: folder to write in.
    """
    drawn = plots.write(found["rows"], docs)
    path = docs / "benchmarks.md"
    path.write_text(text(found, [ours.CONTESTANT, *contest.other_contestants()], drawn))
    return path


def text(
    found: Mapping[str, Any], compared: Sequence[Contestant], drawn: Mapping[str, Path]
) -> str:
    """The page.

    Args:
        found: as `write` takes it.
        compared: we and the others.
        drawn: plots in the same folder, by measure.
    """
    parts = [
        HEAD.format(minutes=round(found["minutes"]) if found["size"] == "full" else USUAL_MINUTES),
        *where(found),
        *targets(found["rows"]),
        *pictures(drawn),
        *speeds(found["rows"]),
        METHOD,
        *contestants(measured_contestants(found["rows"], compared)),
        *others(found["rows"]),
        *packages(found["versions"]),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def where(found: Mapping[str, Any]) -> Iterator[str]:
    """Machine, date and commit."""
    machine, load = found["machine"], found["load"]
    yield (
        f"**This run**: {found['started']}, {found['minutes']} minutes, `make bench"
        f"{'' if found['size'] == 'full' else '-' + found['size']}` at commit {found['commit']}. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}. Load average "
        f"{load['before'][0]} before and {load['after'][0]} after."
    )
    if found["failed"]:
        yield f"**Not measured, since it failed**: {', '.join(found['failed'])}."


def measured_contestants(rows: Sequence[Row], compared: Sequence[Contestant]) -> list[Contestant]:
    """We, and the contestants that have rows."""
    names = {each.get("contestant") for each in rows}
    return [each for each in compared if each is ours.CONTESTANT or each.name in names]


def targets(rows: Sequence[Row]) -> Iterator[str]:
    """The rows with a target, and how many reached theirs."""
    wanted = [each for each in rows if each["target"] is not None]
    reached = sum(bool(each["ok"]) for each in wanted)
    yield f"## Targets: {reached} of {len(wanted)} reached"
    yield table(wanted, with_target=True)


def others(rows: Sequence[Row]) -> Iterator[str]:
    """Everything else that was measured."""
    yield "## Measured besides, without a target"
    yield table([each for each in rows if each["target"] is None], with_target=False)


def table(rows: Sequence[Row], *, with_target: bool) -> str:
    """Rows as Markdown."""
    heads = ["what", "ours", "theirs", "ratio", *(["at most", ""] if with_target else [])]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for each in rows:
        what, *figures, outcome = cells_of(each)
        cells = [what, *figures, f"**{outcome}**" if outcome == "MISSED" else outcome]
        lines.append(f"| {' | '.join(cells[: len(heads)])} |")
    return "\n".join(lines)


def pictures(drawn: Mapping[str, Path]) -> Iterator[str]:
    """The plots."""
    for measure, path in drawn.items():
        title, axis = plots.MEASURES[measure]
        yield f"![{title}: {axis}, by contestant]({path.name})"


def speeds(rows: Sequence[Row]) -> Iterator[str]:
    """The contest in figures: what the plots show, and tiles a second."""
    cpu, wall, memory = (plots.figures_of(rows, name) for name in ("cpu", "wall", "memory"))
    if not cpu:
        return
    lines = [
        "| contestant, one process | CPU seconds a tile | seconds a tile | tiles a second | MB |",
        "|---|---|---|---|---|",
    ]
    for name in cpu:
        each = (cpu[name], wall[name], 1 / wall[name], memory[name])
        lines.append(f"| {name} | {' | '.join(f'{figure:.3g}' for figure in each)} |")
    yield "\n".join(lines)


def contestants(compared: Sequence[Contestant]) -> Iterator[str]:
    """Each with what it stores, and why it is written as it is."""
    yield "## The contestants"
    lines = ["| contestant | stores | settings | code |", "|---|---|---|---|"]
    for each in compared:
        name = each.work.__module__.rpartition(".")[2]
        code = f"[{name}.py](../benchmarks/contestants/{name}.py)"
        lines.append(f"| {each.name} | {each.stores} | {each.settings} | {code} |")
    yield "\n".join(lines)


def packages(versions: Mapping[str, str]) -> Iterator[str]:
    """What was installed."""
    yield "## Versions"
    yield ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
