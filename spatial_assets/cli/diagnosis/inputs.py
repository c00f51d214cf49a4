"""Whether the catalogue has scenes, boundaries a CRS, a key and features, and regions a tile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from spatial_assets.cli.diagnosis.finding import Finding, run_check
from spatial_assets.errors import SourceUnavailableError, VectorError
from spatial_assets.project import Project
from spatial_assets.project.sections.products import BoundarySettings

MAX_ITEMS_COUNTED = (
    10_000  # items: a hundred pages of an API; past that the number no longer matters
)


def catalogue(project: Project) -> Finding:
    """Search the catalogue as a run would, and count what it has."""
    from spatial_assets.catalog.access.source_access import source_access
    from spatial_assets.catalog.sources.sources import find_items
    from spatial_assets.catalog.stac.item_filter import item_filter_of
    from spatial_assets.catalog.stac.items import RawItem

    def question() -> str:
        item_filter = item_filter_of(project)
        found = find_items(project.catalog_url, item_filter, source_access(project))
        wanted = (
            item
            for item in found
            if not isinstance(item, RawItem) or item_filter.matches(item.document)
        )
        number = sum(1 for _ in islice(wanted, MAX_ITEMS_COUNTED))
        if not number:
            message = f"{project.catalog_url} has no item for [area] and [scenes]"
            raise SourceUnavailableError(message)
        more = " or more" if number == MAX_ITEMS_COUNTED else ""
        return f"{project.catalog_url}: {number:,}{more} items"

    remedy = "correct [scenes] catalog, collections, datetime or max_cloud_cover; is it reachable?"
    return run_check("catalogue", question, remedy=remedy)


def boundaries(project: Project) -> Iterator[Finding]:
    """Open every boundaries file and read its first feature."""
    for boundary in project.boundaries:
        yield _boundary(project, boundary)


def _boundary(project: Project, boundary: BoundarySettings) -> Finding:
    """Open one boundaries file and read its first feature."""
    from spatial_assets.stores.vectors.read import read_features

    def question() -> str:
        source = project.resolve(boundary.source)
        columns = (boundary.key, *boundary.columns)
        found = read_features(source, columns=columns, layer=boundary.layer)
        if next(iter(found.features), None) is None:
            message = f"{source} has no feature"
            raise VectorError(message)
        return f"{source}: {found.driver}, {found.crs.name}, key {boundary.key}"

    remedy = "correct [[boundaries]] source, layer, key or columns, or give the file its CRS"
    return run_check(f"boundaries {boundary.name!r}", question, remedy=remedy)


def regions(project: Project) -> Iterator[Finding]:
    """Count the tiles of every region."""
    for name in project.regions:
        yield run_check(
            f"region {name!r}",
            lambda name=name: f"{len(project.region_tiles(name)):,} tiles",  # type: ignore[misc]
            remedy=f"correct [regions.{name}]",
        )
