"""Text of the leftovers that `prune` lists, with the bytes of each kind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spatial_assets.cli.app.console import format_count, format_list
from spatial_assets.cli.pruning.former_products import FormerProduct
from spatial_assets.cli.pruning.kept_units import Outdated
from spatial_assets.cli.pruning.leftovers import Leftovers
from spatial_assets.stores.objects.store import ObjectInfo

MAX_LISTED_LEFTOVERS = 5  # of each kind; the rest is counted


def leftover_lines(left: Leftovers) -> Iterator[str]:
    """Yield a few lines that summarize the leftovers."""
    gone = sorted({*left.gone, *left.rows})
    if gone:
        objects = [info for found in left.gone.values() for info in found]
        rows = format_count(sum(left.rows.values()), "row")
        named = format_list(gone, most=MAX_LISTED_LEFTOVERS)
        yield f"{format_count(len(gone), 'tile')} no longer in the area: {named}"
        yield f"  {format_objects(objects)}, {rows}"
    for product in left.products:
        yield product_line(product)
    yield from outdated_lines(left)
    orphans = sorted(info.path for found in left.orphans.values() for info in found)
    if orphans:
        objects = [info for found in left.orphans.values() for info in found]
        named = format_list(orphans, most=MAX_LISTED_LEFTOVERS)
        yield f"{format_objects(objects)} not named by any manifest: {named}"


def product_line(product: FormerProduct) -> str:
    """Return the line on an index or a boundary set that left the project file."""
    rows = format_count(product.rows, "row")
    relations = (*product.tables, *product.views)
    dropped = f", {', '.join(relations)}" if relations else ""
    objects = format_objects(product.objects)
    return f"{product.kind} {product.name}, not in the project file: {objects}, {rows}{dropped}"


def outdated_lines(left: Leftovers) -> Iterator[str]:
    """Yield the lines on periods and pixels that are kept no longer."""
    for reason in Outdated:
        sizes = [each.sizes[reason] for each in left.outdated.values() if reason in each.sizes]
        if sizes:
            count, size = sum(each[0] for each in sizes), sum(each[1] for each in sizes)
            tiles = format_count(len(sizes), "tile")
            yield f"{format_object_count(count, size)} {reason}, in {tiles}"
    others = [each for each in left.outdated.values() if not each.sizes and not each.periods]
    if others and not left.products:
        yield f"{format_count(len(others), 'manifest')} with units that left the project file"
    labels = {label for each in left.outdated.values() for label in each.periods}
    labels |= {label for each in left.old_rows.values() for label in each}
    if labels:
        periods = format_list(sorted(labels), most=MAX_LISTED_LEFTOVERS)
        yield f"{format_count(len(labels), 'period')} with their rows: {periods}"


def format_objects(objects: Iterable[ObjectInfo]) -> str:
    """Format the number of objects and their size."""
    sizes = [info.size for info in objects]
    return format_object_count(len(sizes), sum(sizes))


def format_object_count(count: int, size: int) -> str:
    """Format a number of objects and their size in bytes."""
    return f"{format_count(count, 'object')} of {size / 1e6:,.1f} MB"
