"""Sources of items by the form of `[scenes] catalog`: folder, static catalogue, file or API.

A source lists every document that it has. item_filter.py decides which items match the project,
items.py parses them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from spatial_assets.catalog.access.hrefs import is_remote, resolve_href
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.json_object import JsonObject
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.sources.documents import (
    ItemOrRejection,
    ListedDocument,
    document_or_record,
    features_of,
    is_item_name,
    known_record,
    linked_items,
    local_document,
    parse_document,
    read_document,
    read_each,
    remote_document,
)
from spatial_assets.catalog.stac.item_filter import ItemFilter
from spatial_assets.catalog.stac.items import rejected_document
from spatial_assets.errors import SceneError, SettingsError, SourceUnavailableError

PARQUET_SUFFIXES = (".parquet", ".geoparquet")
FOLDER_OF_FILE_SYSTEM = "lost+found"
"""Folder that every ext4 disk has, and that only root may list."""

POLICY_REASONS = frozenset({"bad_href", "forbidden_host", "forbidden_folder"})
"""Reasons for not following a link at all."""

MAX_DOCUMENTS = 1_000_000  # a catalogue with more generates its links


def find_items(
    catalog: str, item_filter: ItemFilter, access: SourceAccess
) -> Iterator[ItemOrRejection]:
    """Return every item of a catalogue, without those that the source itself filters out.

    Raises:
        SettingsError: the catalogue does not exist, or is none.
        SourceUnavailableError: it did not answer.
    """
    if is_api(catalog):
        # Here, not above: pystac-client is slow to import, and only an API needs it.
        from spatial_assets.catalog.sources.stac_api import items_of_api

        return items_of_api(catalog, item_filter, access)
    return (item for _, found in read_each(documents_of(catalog, access)) for item in found)


def is_api(catalog: str) -> bool:
    """Return True if a catalogue is searched; any other one is a list of documents."""
    path = urlsplit(catalog).path
    names_a_file = is_item_name(path) or path.lower().endswith(PARQUET_SUFFIXES)
    return catalog.startswith(("http://", "https://")) and not names_a_file


def documents_of(catalog: str, access: SourceAccess) -> Iterator[ListedDocument]:
    """Return the documents of a catalogue that is no API, each place once.

    Raises:
        SettingsError: the catalogue does not exist, or is none.
        SourceUnavailableError: it did not answer.
    """
    path = urlsplit(catalog).path if is_remote(catalog) else catalog
    if path.lower().endswith(PARQUET_SUFFIXES):
        from spatial_assets.catalog.sources.geoparquet import table_document

        return iter((table_document(catalog, access),))
    if is_item_name(path):
        return documents_of_catalogue(catalog, access)
    if is_remote(catalog):
        from spatial_assets.catalog.sources.s3_folder import documents_of_bucket

        return documents_of_bucket(catalog, access)
    return documents_of_folder(Path(catalog), access)


def documents_of_folder(folder: Path, access: SourceAccess) -> Iterator[ListedDocument]:
    """Yield the *.json and *.geojson files below a folder.

    Links to folders are followed after all other folders, and each folder is listed once. So a
    loop of links ends, and a link changes no place that is known without it.

    Raises:
        SettingsError: the folder does not exist.
        SourceUnavailableError: a folder below it cannot be listed at the moment.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"[scenes] catalog = {folder}: the folder does not exist; "
            "name a folder of STAC items, a catalog.json, a .parquet file or a STAC API"
        )
    closed: list[Path] = []
    listed: set[tuple[int, int]] = set()
    links = [folder]
    while links:
        listing = os.walk(links.pop(0), onerror=partial(_refuse_partial_listing, closed=closed))
        for parent, folders, files in listing:
            try:
                facts = Path(parent).stat()
            except OSError as gone:
                _refuse_partial_listing(gone, closed=closed)
                continue
            if (facts.st_dev, facts.st_ino) in listed:
                folders.clear()
                continue
            listed.add((facts.st_dev, facts.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links += [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
            for name in sorted(files):
                yield from _listed_file(Path(parent, name), access)
    for place in sorted(closed):
        error = SceneError(f"the folder {place} may not be listed", reason="forbidden")
        yield known_record(rejected_document(str(place), b"", error))


def _listed_file(path: Path, access: SourceAccess) -> Iterator[ListedDocument]:
    """Yield a file that may hold items, or the record of a link that leads nowhere."""
    if path.name.startswith("."):
        return
    if is_item_name(path.name):
        yield local_document(path, access)
    elif path.suffix in FOLDER_SUFFIXES and path.is_symlink() and not path.exists():
        message = f"{path} is a link to a folder that does not exist; mount or remove it"
        yield known_record(
            rejected_document(str(path), b"", SceneError(message, reason="missing_object"))
        )


FOLDER_SUFFIXES = ("", ".SAFE")
"""Suffixes by which a link that leads nowhere is taken for one to a folder of items."""


def _refuse_partial_listing(error: OSError, *, closed: list[Path]) -> None:
    """Refuse to take a failing disk for an empty folder: its scenes would count as withdrawn.

    A folder without permission is added to `closed`, except the one that belongs to the disk.
    """
    place = Path(str(error.filename))
    if not isinstance(error, PermissionError):
        raise SourceUnavailableError(f"{place} cannot be listed: {error.strerror}; run again")
    if place.name != FOLDER_OF_FILE_SYSTEM:
        closed.append(place)


def documents_of_catalogue(catalog: str, access: SourceAccess) -> Iterator[ListedDocument]:
    """Yield the items of a static catalogue, found by following its links, each document once.

    Raises:
        SettingsError: the first document does not exist, or is no catalogue.
        SourceUnavailableError: a document did not answer.
    """
    try:
        root = parse_document(read_document(catalog, access), catalog)
    except SceneError as error:
        raise SettingsError(f"[scenes] catalog = {catalog}: {error}") from error
    if root.get("type") == "FeatureCollection":
        yield ListedDocument(catalog, partial(features_of, root, catalog))
        return
    if not isinstance(root.get("links"), list):
        raise SettingsError(
            f"[scenes] catalog = {catalog} has no links: it is not a STAC catalogue or collection"
        )
    yield from _walk(root, catalog, access)


def _walk(root: JsonObject, place: str, access: SourceAccess) -> Iterator[ListedDocument]:
    """Walk depth first with an explicit stack: a deep catalogue must not exhaust the call stack."""
    pending, seen = [(place, root)], {place}
    while pending:
        base, document = pending.pop()
        for relation, target in _targets(document, base):
            if isinstance(target, RejectedScene):
                yield known_record(target)
                continue
            if target in seen:
                continue
            if len(seen) >= MAX_DOCUMENTS:
                raise SettingsError(f"[scenes] catalog = {place} links to too many documents")
            seen.add(target)
            if relation == "item":
                yield _item_document(target, access)
                continue
            child = document_or_record(target, access)
            if isinstance(child, RejectedScene):
                yield known_record(_refused_by_policy(child))
            elif child.get("type") == "FeatureCollection":
                yield ListedDocument(target, partial(features_of, child, target))
            elif not isinstance(child.get("links"), list):
                raise SourceUnavailableError(
                    f"{target} is linked as a child of a catalogue and has no links: its type is "
                    f"{child.get('type')!r}; correct the link, or run again if it is being written"
                )
            else:
                pending.append((target, child))


def _refused_by_policy(child: RejectedScene) -> RejectedScene:
    """Return the record of a child that may not be read; one that cannot be read is an error.

    Raises:
        SourceUnavailableError: its scenes would count as withdrawn.
    """
    if child.reason in POLICY_REASONS:
        return child
    raise SourceUnavailableError(
        f"a child of the catalogue cannot be read: {child.message}; restore it, or remove the link "
        "to it"
    )


def _item_document(place: str, access: SourceAccess) -> ListedDocument:
    """Return the document to which an item link leads."""
    remote = is_remote(place)
    found = remote_document(place, access) if remote else local_document(Path(place), access)
    return replace(found, read=partial(linked_items, place, access))


def _targets(document: JsonObject, base: str) -> Iterator[tuple[str, str | RejectedScene]]:
    """Yield (relation, place) of the documents that a catalogue links to; bad links are records."""
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
