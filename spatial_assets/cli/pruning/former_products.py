"""Indices and boundary sets that left the project file: arrays, tables, views, rows and files.

They are known by what the store holds: the cube of an index, the copy of a boundary set and the
note beside it. Tables of other names, or of other columns, are not ours and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.errors import DatabaseError, StoreError
from spatial_assets.pipeline.quarantine_subjects import stage_of_subject
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.project.sections.products import BOUNDARY_NAME
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets.stores.cube.metadata import ROOT
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.public_columns import STATISTICS_COLUMNS
from spatial_assets.stores.rows import Remove, RowChange

MERGED = "_merged"
BOUNDARY_TABLE_COLUMNS = frozenset(
    {"boundary_key", "geometry", "area_m2", "feature_fingerprint", "source"}
)
"""Columns that the table of every boundary set has."""

_FILES_OF_SET = (r"raw_([a-z0-9_]+)\..+", r"validated_([a-z0-9_]+)\.parquet")
MAX_SUBJECTS = 10_000  # of one statement


@dataclass(frozen=True, kw_only=True)
class FormerProduct:
    """An index or a boundary set that left the project file."""

    kind: str
    """`index` or `boundary set`."""

    name: str
    objects: Sequence[ObjectInfo] = ()
    """Objects, in the order in which they are deleted: the last one is the evidence for all."""

    views: Sequence[str] = ()
    tables: Sequence[str] = ()
    changes: Sequence[RowChange] = ()
    """Removal of its rows in tables that stay."""

    rows: int = 0
    """Number of rows in all tables."""

    def __bool__(self) -> bool:
        """Return True if there is anything to remove."""
        return bool(self.objects or self.views or self.tables or self.rows)


def former_products(opened: OpenProject, objects: Sequence[ObjectInfo]) -> list[FormerProduct]:
    """Return what is left of indices and boundary sets that the project file names no longer."""
    finder = _Finder(opened, objects)
    found = [
        *(finder.index(name) for name in sorted(finder.former_indices())),
        *(finder.boundary_set(name) for name in sorted(finder.former_sets())),
    ]
    return [product for product in found if product]


def remove_product(
    opened: OpenProject, product: FormerProduct, *, say: Callable[[str], None]
) -> int:
    """Remove rows, views, tables and objects of a product; return the number of objects.

    The manifests of the tiles name it no longer. After a kill it is found again by its last object.
    """
    try:
        opened.database.commit(product.changes)
        opened.database.drop(views=product.views, tables=product.tables)
    except DatabaseError as error:
        say(f"{product.kind} {product.name} is kept: {error}")
        return 0
    for info in product.objects:
        opened.store.delete(info.path)
    return len(product.objects)


class _Finder:
    """Finds the former products of a store and its database."""

    def __init__(self, opened: OpenProject, objects: Sequence[ObjectInfo]) -> None:
        self._opened = opened
        self._objects = objects
        self._indices = opened.project.indices.names
        self._grid = {"grid_id": opened.project.grid_id}
        self._relations = opened.database.relations()
        of_tiles = {**self._grid, "kind": "tile"}
        self._quarantine = opened.database.rows_if_any("quarantine", of_tiles, columns=("subject",))

    def former_indices(self) -> set[str]:
        """Return the indices of cubes and of rows in `tile_index`, without those in use."""
        ending = f".zarr/{ROOT}"
        roots = {info.path.removesuffix(ending) for info in self._objects if _is_root(info, ending)}
        rows = self._opened.database.rows_if_any(TILE_INDEX, self._grid, columns=("index_name",))
        found = {name for name in roots if self._is_cube(name)}
        return (found | {str(row["index_name"]) for row in rows}) - set(self._indices)

    def former_sets(self) -> set[str]:
        """Return the boundary sets of files and of statistics, without those in use."""
        found = {name for info in self._objects if (name := set_of_file(info.path))}
        for index in self._indices:
            rows = self._opened.database.rows_if_any(
                by_boundary(index), self._grid, columns=("boundary_table",)
            )
            found |= {str(row["boundary_table"]) for row in rows}
        return found - {each.name for each in self._opened.project.boundaries}

    def index(self, name: str) -> FormerProduct:
        """Return what is left of an index."""
        folder, table = f"{layout.cube(name)}/", by_boundary(name)
        stages = [name, table]
        subjects = [
            str(row["subject"])
            for row in self._quarantine
            if stage_of_subject(str(row["subject"])) in stages
        ]
        conditions: list[tuple[str, Mapping[str, object]]] = [
            (TILE_INDEX, {"index_name": name}),
            ("tile_state", {"stage": stages}),
            ("tile_wanted", {"stage": stages}),
            *_of_subjects("tile", subjects),
        ]
        is_ours = self._has_columns(table, {each.name for each in STATISTICS_COLUMNS})
        if is_ours:
            self._opened.database.declare_tables((), [name])
        is_shared = is_ours and self._has_other_grids(table)
        if is_shared:
            conditions.append((table, {}))
        objects = [info for info in self._objects if info.path.startswith(folder)]
        return self._product(
            "index",
            name,
            objects=sorted(objects, key=lambda info: info.path == f"{folder}{ROOT}"),
            views=[f"{table}{MERGED}"] if is_ours and not is_shared else [],
            tables=[table] if is_ours and not is_shared else [],
            conditions=conditions,
        )

    def boundary_set(self, name: str) -> FormerProduct:
        """Return what is left of a boundary set."""
        features = self._opened.database.rows_if_any(
            "quarantine", {**self._grid, "kind": "feature"}, columns=("subject",)
        )
        subjects = [str(row["subject"]) for row in features]
        record, note = layout.quarantine("boundaries", name), layout.raw_boundaries(name, ".json")
        objects = [
            info for info in self._objects if set_of_file(info.path) == name or info.path == record
        ]
        return self._product(
            "boundary set",
            name,
            objects=sorted(objects, key=lambda info: info.path == note),
            tables=[name] if objects and self._has_columns(name, BOUNDARY_TABLE_COLUMNS) else [],
            conditions=[
                *((by_boundary(index), {"boundary_table": name}) for index in self._indices),
                *_of_subjects("feature", [each for each in subjects if _is_of(each, name)]),
            ],
        )

    def _product(
        self,
        kind: str,
        name: str,
        *,
        objects: Sequence[ObjectInfo],
        tables: Sequence[str],
        conditions: Iterable[tuple[str, Mapping[str, object]]],
        views: Sequence[str] = (),
    ) -> FormerProduct:
        """Return a product with the number of its rows, in tables that stay or are dropped."""
        found = [
            (table, {**self._grid, **where}, count)
            for table, where in conditions
            if (count := self._opened.database.count(table, {**self._grid, **where}))
        ]
        rows = sum(count for _, _, count in found)
        if kind == "index":
            rows += sum(self._opened.database.count(table, {}) for table in tables)
        return FormerProduct(
            kind=kind,
            name=name,
            objects=objects,
            views=[view for view in views if view in self._relations],
            tables=tables,
            changes=[Remove(table, where) for table, where, _ in found],
            rows=rows,
        )

    def _is_cube(self, name: str) -> bool:
        """Return True if a Zarr group is a cube of this grid, rather than a group of others."""
        try:
            spec = stored_cube(self._opened.store, name)
        except StoreError:
            return False
        return spec is not None and spec.grid_id == self._opened.project.grid_id

    def _has_columns(self, table: str, names: Collection[str]) -> bool:
        return set(names) <= self._relations.get(table, {}).keys()

    def _has_other_grids(self, table: str) -> bool:
        rows = self._opened.database.rows(table, columns=("grid_id",))
        return any(str(row["grid_id"]) != self._opened.project.grid_id for row in rows)


def set_of_file(path: str) -> str | None:
    """Return the boundary set that an object at a path belongs to; None: it is no file of one."""
    found = next((match for each in _FILES_OF_SET if (match := re.fullmatch(each, path))), None)
    return found[1] if found and re.fullmatch(BOUNDARY_NAME, found[1]) else None


def _is_root(info: ObjectInfo, ending: str) -> bool:
    return info.path.endswith(ending) and info.path.count("/") == 1


def _is_of(subject: str, name: str) -> bool:
    return subject.startswith(f"{name}/")


def _of_subjects(kind: str, subjects: Sequence[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield the conditions of the quarantine rows of subjects."""
    for start in range(0, len(subjects), MAX_SUBJECTS):
        yield "quarantine", {"kind": kind, "subject": subjects[start : start + MAX_SUBJECTS]}
