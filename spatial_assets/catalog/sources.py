"""Where items come from, by the form of `[scenes] catalog`: a folder, a static catalogue, others.

A source yields every item it has, or the record of one that cannot be read; what is wanted is
decided in selection.py, what an item means in items.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.documents import parse_document, read_document
from spatial_assets.catalog.hrefs import is_remote, resolve_href
from spatial_assets.catalog.items import RawItem, rejected_document
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.selection import Selection
from spatial_assets.errors import SceneError, SettingsError

PARQUET = (".parquet", ".geoparquet")
MOST_DOCUMENTS = 1_000_000  # a catalogue that goes on after that goes round in circles

Found = RawItem | RejectedScene
Json = Mapping[str, object]


def find_items(catalog: str, selection: Selection, access: SourceAccess) -> Iterator[Found]:
    """Every item of a catalogue; what the source can filter by itself is left out already.

    Raises:
        SettingsError: there is no such catalogue, or it is none.
        SourceUnavailableError: it did not answer.
    """
    path = urlsplit(catalog).path if is_remote(catalog) else catalog
    if path.lower().endswith(PARQUET):
        from spatial_assets.catalog.geoparquet import items_of_table  # noqa: PLC0415 - pyarrow

        return items_of_table(catalog, access)
    if path.lower().endswith(".json"):
        return items_of_catalogue(catalog, access)
    if catalog.startswith(("http://", "https://")):
        from spatial_assets.catalog.api import items_of_api  # noqa: PLC0415 - pystac_client

        return items_of_api(catalog, selection, access)
    if is_remote(catalog):
        raise SettingsError(
            f"[scenes] catalog = {catalog}: on S3, name a catalog.json or a .parquet file"
        )
    return items_of_folder(Path(catalog))


def items_of_folder(folder: Path) -> Iterator[Found]:
    """The STAC Items among the *.json files below a folder, in the order of their paths.

    Raises:
        SettingsError: there is no such folder.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"[scenes] catalog = {folder}: there is no such folder; "
            "name a folder of STAC items, a catalog.json, a .parquet file or a STAC API"
        )
    local = SourceAccess(cache_folder=folder)
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(".json") and not name.startswith("."):
                yield from _items_of_document(str(Path(parent, name)), local)


def items_of_catalogue(catalog: str, access: SourceAccess) -> Iterator[Found]:
    """The items of a static catalogue, found by walking its links, each document once.

    Raises:
        SettingsError: the first document is not there, or is no catalogue.
        SourceUnavailableError: a document did not answer.
    """
    try:
        root = parse_document(read_document(catalog, access), catalog)
    except SceneError as error:
        raise SettingsError(f"[scenes] catalog = {catalog}: {error}") from error
    if root.get("type") == "FeatureCollection":
        yield from _features(root, catalog)
        return
    if not isinstance(root.get("links"), list):
        raise SettingsError(
            f"[scenes] catalog = {catalog} has no links: it is no STAC catalogue or collection"
        )
    yield from _walk(root, catalog, access)


def _walk(root: Json, place: str, access: SourceAccess) -> Iterator[Found]:
    """Depth first, with a list of its own: a deep catalogue must not exhaust the stack."""
    waiting, seen = [(place, root)], {place}
    while waiting:
        base, document = waiting.pop()
        for relation, target in _targets(document, base):
            if isinstance(target, RejectedScene):
                yield target
                continue
            if target in seen:
                continue
            if len(seen) >= MOST_DOCUMENTS:
                raise SettingsError(f"[scenes] catalog = {place} links to too many documents")
            seen.add(target)
            if relation == "item":
                yield from _items_of_document(target, access)
                continue
            child = _document_or_record(target, access)
            if isinstance(child, RejectedScene):
                yield child
            else:
                waiting.append((target, child))


def _targets(document: Json, base: str) -> Iterator[tuple[str, str | RejectedScene]]:
    """(relation, place) of the documents that a catalogue links to; bad links are records."""
    links = document.get("links")
    for link in links if isinstance(links, list) else []:
        relation = link.get("rel") if isinstance(link, Mapping) else None
        if relation not in ("item", "child", "items"):
            continue
        try:
            target = resolve_href(link.get("href"), base)
        except SceneError as error:
            yield relation, rejected_document(base, str(link.get("href")).encode(), error)
            continue
        yield ("item" if relation == "items" else relation), target.place


def _items_of_document(place: str, access: SourceAccess) -> Iterator[Found]:
    """The item of a document, several of a feature collection, none of anything else."""
    document = _document_or_record(place, access)
    if isinstance(document, RejectedScene):
        yield document
    elif is_item(document):
        yield RawItem(document, place)
    elif document.get("type") == "FeatureCollection":
        yield from _features(document, place)


def _document_or_record(place: str, access: SourceAccess) -> Json | RejectedScene:
    """A document, or the record of one that cannot be read."""
    content = b""
    try:
        content = read_document(place, access)
        return parse_document(content, place)
    except SceneError as error:
        return rejected_document(place, content, error)


def _features(collection: Json, place: str) -> Iterator[RawItem]:
    """The items of a feature collection."""
    features = collection.get("features")
    for feature in features if isinstance(features, list) else []:
        if isinstance(feature, Mapping) and is_item(feature):
            yield RawItem(feature, place)


def is_item(document: Json) -> bool:
    """Whether a document means to be a STAC item: other GeoJSON may lie beside them."""
    return document.get("type") == "Feature" and "stac_version" in document
