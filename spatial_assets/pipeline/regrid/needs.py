"""Comparison of the project with what is stored: what a `regrid` would move, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from spatial_assets.errors import GridError
from spatial_assets.indices import INDICES
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets.stores.cube.metadata import CubeSpec, spec_document, spec_from_document
from spatial_assets.stores.cube.regrid import CubeMove, moved_spec, stored_chunks
from spatial_assets.stores.objects.grid_identity import refusal, stored_grid
from spatial_assets.stores.objects.store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class RegridPlan:
    """Plan of a `regrid`; nothing of it has been done."""

    reasons: tuple[str, ...]
    """Changes of the project, for people; empty if only axes get shorter."""

    moves: tuple[CubeMove, ...]
    """Each stored cube before and after."""

    objects: int
    """Objects to copy under other keys."""

    size: int
    """Bytes of those objects."""

    removed: tuple[str, ...]
    """Labels of the periods with data before a later `[time] start`, which are given up."""

    former: Mapping[str, Any] | None
    """Identity and settings of the grid of the stored tiles; None: their level and scheme stay."""

    def lines(self) -> Iterator[str]:
        """Yield what is to be done, for people."""
        yield from self.reasons
        if self.objects:
            yield (
                f"{self.objects:,} objects of {self.size / 1e6:,.1f} MB get other keys: they are "
                "copied within the store, and nothing is computed again"
            )
        for move in self.moves:
            if move.new.periods.end < move.old.periods.end:
                last = move.new.periods.count - 1
                yield f"the time axis of {move.old.index}.zarr ends with {_label(move.new, last)}"
        if self.former:
            yield (
                "tiles that are up to date are grouped anew: their shards, manifests and rows are "
                "kept, their raw and reprojected rasters are read again where needed"
            )
        if self.removed:
            yield (
                f"{len(self.removed)} periods before [time] start are given up: "
                f"{self.removed[0]} to {self.removed[-1]}"
            )

    def operation(self) -> dict[str, Any]:
        """Return everything that decides what is written, as JSON values."""
        return {
            "cubes": {
                move.old.index: [spec_document(move.old), spec_document(move.new)]
                for move in self.moves
            },
            "removed": list(self.removed),
            "former": self.former,
        }


def moves_from(operation: Mapping[str, Any]) -> tuple[CubeMove, ...]:
    """Read the moves of cubes from what `RegridPlan.operation` returned."""
    return tuple(
        CubeMove(*(spec_from_document(document, index=index) for document in documents))
        for index, documents in operation["cubes"].items()
    )


def regrid_reasons(project: Project, store: ObjectStore) -> tuple[str, ...]:
    """Return why the stored product has to be moved before the next run; few requests.

    Raises:
        GridError: it cannot be moved, as its pixels or periods have another size.
    """
    cubes = stored_cubes(project, store)
    if not cubes:
        return ()
    stored = cubes[0]
    wanted = _wanted(project, stored, today=stored.periods.end)
    return (*_grid_reasons(project, store), *_reasons(stored, wanted))


def _grid_reasons(project: Project, store: ObjectStore) -> Iterator[str]:
    """Yield how the partitions differ from those that are stored.

    Raises:
        GridError: another setting of the grid differs.
    """
    grid = project.grid.model_dump(mode="json")
    found = stored_grid(store)
    if found is None or found["grid_id"] == project.grid_id:
        return
    theirs = found.get("grid")
    theirs = theirs if isinstance(theirs, dict) else {}
    differing = [key for key in sorted({*theirs, *grid}) if theirs.get(key) != grid.get(key)]
    if not set(differing) <= {"level", "partitions"}:
        raise GridError(refusal(store, found, grid_id=project.grid_id, grid=grid))
    for key in differing:
        yield f"[grid] {key} is {grid.get(key)!r}, that of the stored tiles {theirs.get(key)!r}"


def planned_regrid(project: Project, store: ObjectStore, *, today: date) -> RegridPlan | None:
    """Return what a `regrid` has to do; None if everything is in its place.

    Lists the shards of all cubes.

    Raises:
        GridError: the product cannot be moved, as its pixels or periods have another size.
    """
    moves, objects, size = [], 0, 0
    reasons = dict.fromkeys(_grid_reasons(project, store))
    former = stored_grid(store) if reasons else None
    removed: set[int] = set()
    cubes = stored_cubes(project, store)
    for stored in cubes:
        wanted = _wanted(project, stored, today=today)
        found = _Chunks(store, stored)
        last = project.periods(today, latest=found.last_day(), stored=stored.periods.start)
        move = CubeMove(stored, moved_spec(stored, wanted, last=last))
        if move.new == move.old:
            continue
        reasons.update(dict.fromkeys(_reasons(stored, wanted)))
        moves.append(move)
        if move.moves_chunks:
            kept = [period for period in found.sizes if move.period(period) is not None]
            objects += sum(len(found.sizes[period]) for period in kept)
            size += sum(sum(found.sizes[period]) for period in kept)
        removed |= {period for period in found.sizes if move.period(period) is None}
    if not moves:
        return None
    labels = tuple(_label(cubes[0], period) for period in sorted(removed))
    return RegridPlan(
        reasons=tuple(reasons),
        moves=tuple(moves),
        objects=objects,
        size=size,
        removed=labels,
        former=former,
    )


class _Chunks:
    """The stored shards of one cube, by period."""

    def __init__(self, store: ObjectStore, spec: CubeSpec) -> None:
        self._spec = spec
        self.sizes: dict[int, list[int]] = {}
        """Period -> bytes of each of its shards."""
        for period, info in stored_chunks(store, spec):
            self.sizes.setdefault(period, []).append(info.size)

    def last_day(self) -> date:
        """Last day of the last period with data, or that of the first period."""
        return self._spec.periods.last_day(max(self.sizes, default=0))


def stored_cubes(project: Project, store: ObjectStore) -> list[CubeSpec]:
    """Return the stored cubes, those of the project first."""
    names: Sequence[str] = tuple(dict.fromkeys([*project.indices.names, *INDICES]))
    cubes = [stored_cube(store, name) for name in names]
    return [cube for cube in cubes if cube is not None]


def _wanted(project: Project, stored: CubeSpec, *, today: date) -> CubeSpec:
    """Return the cube that the project asks for, with an axis of one period or more."""
    return CubeSpec(
        index=stored.index,
        grid=project.pixel_grid,
        grid_id=project.grid_id,
        extent=project.partitioning.extent,
        periods=project.periods(today, stored=stored.periods.start),
        long_name=stored.long_name,
    )


def _reasons(stored: CubeSpec, wanted: CubeSpec) -> Iterator[str]:
    """Yield why shards of a cube need other keys.

    Raises:
        GridError: pixels or periods have another size.
    """
    moved = moved_spec(stored, wanted, last=wanted.periods)
    for axis, pixels in (
        ("west", stored.extent.column - moved.extent.column),
        ("north", stored.extent.row - moved.extent.row),
    ):
        if pixels:
            yield f"the area starts {pixels:,} pixels further {axis} than what is stored"
    if wanted.periods.start != stored.periods.start:
        shift = CubeMove(stored, moved).shift
        when = "earlier" if shift > 0 else "later"
        yield (
            f"the time axis starts {abs(shift)} {stored.periods.length}s {when}: with "
            f"{_label(wanted, 0)} instead of {_label(stored, 0)}"
        )


def _label(spec: CubeSpec, period: int) -> str:
    return spec.periods.label(period)


def require_no_regrid(project: Project, store: ObjectStore) -> None:
    """Refuse to run while what is stored would have to be moved first.

    Raises:
        GridError: it would, or it cannot be moved.
    """
    reasons = regrid_reasons(project, store)
    if reasons:
        raise GridError(
            f"{'; '.join(reasons)}: `spatial-assets regrid` moves what is stored and computes "
            "nothing again (--dry-run tells how much); or restore the setting"
        )


def obstacles(project: Project, store: ObjectStore, *, today: date) -> tuple[str, ...]:
    """Return why a run would be refused over what is stored, and the remedy; empty if it would not.

    If objects have to be moved first, all shards are listed to tell how many.
    """
    try:
        if not regrid_reasons(project, store):
            return ()
        plan = planned_regrid(project, store, today=today)
    except GridError as error:
        return (str(error),)
    if plan is None:
        return ()
    return (*plan.lines(), "before the next run: spatial-assets regrid")
