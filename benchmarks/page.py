"""docs/benchmarks.md and its plots, written from the document of a run."""

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

Written by `python -m benchmarks page` from the figures of one run; not edited by hand.

```sh
make bench          # everything at full size, about {minutes} minutes, then this page
make bench-quick    # a smaller selection, in under three minutes
```

Absolute figures are those of the machine named below. Ratios hold elsewhere, since all contestants
take turns in one run. A ratio is our cost divided by the other's: 0.25 is four times cheaper.
"""
METHOD = """\
## What is measured, and how

**The task.** Three synthetic Sentinel-2 granules of one place, 10,980 x 10,980 pixels: red and nir
at 10 m as cloud-optimised GeoTIFF (DEFLATE, predictor 2, blocks of 1,024, overviews), the scene
classification at 20 m, on the local disk. Noise makes them as hard to compress as real ones; the
row `lossless size` says how close they are. The output is tiles of 2,048 x 2,048 pixels in
web-mercator (zoom 14, 9.55 m of the projection): bilinear resampling, clouds masked by class,
NDVI of each day, median of the days, number of observations.

**The contest.** Each contestant runs in a separate process. All first make one tile that is not
timed, which loads libraries and compiles code, and whose NDVI is compared with ours: 99 % of the
pixels must agree on validity, and 99 % of the valid ones must lie within 0.01, or the benchmark
stops. (They differ because GDAL by default approximates coordinates to an eighth of a pixel.)
Then they take turns at twelve neighbouring tiles. (Our pipeline inspects every scene before its
first tile; here twelve tiles share that cost, while a whole scene has about fifty.) CPU seconds are
those of the process and of all processes it starts; memory is the peak of its largest process, as
Linux reports it. Figures are medians of the repeats.

**Orchestration.** The same pipeline as a range run of Dagster on SQLite, with its checks, events
and metadata, compared with the pipeline without Dagster: two worker processes each, wall time. The
usual Dagster project has one asset a stage and one run a partition: `dagster asset materialize`
with default settings, start-up included for both. Prefect's `.map` and our range run do nothing
for the same 400 tiles; server, flow and instance are started before. Prefect records results after
the flow has finished, Dagster before its run ends: the page gives both figures.

**Remote scenes.** The same scenes in a real S3 server, behind a network link that delays every
response by 50 ms and passes 200 Mbit/s in total. Each contestant has made a tile of the same scenes
from local disk before, so libraries are loaded and no remote file is cached. `/vsis3` uses GDAL's
defaults; only the server's address is set.

**Scale.** The same tiles with one and two local workers, and with two and four workers of a real
Dask cluster on this machine; then tiles without work that carry as many bytes as real ones, to see
if the last tiles cost the driver and the scheduler as much as the first.

**Tables.** `to_postgis` and our bulk path load the same polygons into a table with the same columns
and a spatial index, on the same private PostGIS server.
"""


def write(found: Mapping[str, Any], docs: Path = DOCS) -> Path:
    """Write the page and its plots.

    Args:
        found: document of `benchmarks.results.document`.
        docs: output folder.
    """
    drawn = plots.write(found["rows"], docs)
    path = docs / "benchmarks.md"
    path.write_text(text(found, [ours.CONTESTANT, *contest.other_contestants()], drawn))
    return path


def text(
    found: Mapping[str, Any], compared: Sequence[Contestant], drawn: Mapping[str, Path]
) -> str:
    """Build the text of the page.

    Args:
        found: document of the run, as in `write`.
        compared: all contestants, the product among them.
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
        yield f"**Not measured because it failed**: {', '.join(found['failed'])}."


def measured_contestants(rows: Sequence[Row], compared: Sequence[Contestant]) -> list[Contestant]:
    """Our contestant and those that have rows."""
    names = {each.get("contestant") for each in rows}
    return [each for each in compared if each is ours.CONTESTANT or each.name in names]


def targets(rows: Sequence[Row]) -> Iterator[str]:
    """Rows with a target, and the number that reached it."""
    wanted = [each for each in rows if each["target"] is not None]
    reached = sum(bool(each["ok"]) for each in wanted)
    yield f"## Targets: {reached} of {len(wanted)} reached"
    yield table(wanted, with_target=True)


def others(rows: Sequence[Row]) -> Iterator[str]:
    """All other rows."""
    yield "## Other measurements, without a target"
    yield table([each for each in rows if each["target"] is None], with_target=False)


def table(rows: Sequence[Row], *, with_target: bool) -> str:
    """Format rows as Markdown."""
    heads = ["what", "ours", "theirs", "ratio", *(["at most", ""] if with_target else [])]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for each in rows:
        what, *figures, outcome = cells_of(each)
        cells = [what, *figures, f"**{outcome}**" if outcome == "MISSED" else outcome]
        lines.append(f"| {' | '.join(cells[: len(heads)])} |")
    return "\n".join(lines)


def pictures(drawn: Mapping[str, Path]) -> Iterator[str]:
    """Links to the plots."""
    for measure, path in drawn.items():
        title, axis = plots.MEASURES[measure]
        yield f"![{title}: {axis}, by contestant]({path.name})"


def speeds(rows: Sequence[Row]) -> Iterator[str]:
    """Figures of the contest: those of the plots, and tiles a second."""
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
    """Output and settings of each contestant."""
    yield "## The contestants"
    lines = ["| contestant | stores | settings | code |", "|---|---|---|---|"]
    for each in compared:
        name = each.work.__module__.rpartition(".")[2]
        code = f"[{name}.py](../benchmarks/contestants/{name}.py)"
        lines.append(f"| {each.name} | {each.stores} | {each.settings} | {code} |")
    yield "\n".join(lines)


def packages(versions: Mapping[str, str]) -> Iterator[str]:
    """Versions of the installed packages."""
    yield "## Versions"
    yield ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
