"""Documents of a catalogue: their places and states, and the items in JSON documents.

A document is local or remote, and bounded in size. Which documents a catalogue has is decided in
sources.py.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.requests import fetch
from spatial_assets.catalog.access.signing import signed_url
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.json_object import JsonObject
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.stac.items import RawItem, rejected_document
from spatial_assets.errors import SceneError

CONCURRENT_READS = 16

ItemOrRejection = RawItem | RejectedScene


@dataclass(frozen=True)
class DocumentState:
    """State of a document, which differs if its content does."""

    text: str
    written: dt.datetime | None = None
    """Time of the last change, by a clock that may be too coarse for two changes; None: unknown."""


def unknown_state() -> DocumentState | None:
    """Return the state of a document without one: it is read each time."""
    return None


@dataclass(frozen=True)
class ListedDocument:
    """One document that may hold items."""

    place: str
    """Absolute path or URL."""

    read: Callable[[], Iterable[ItemOrRejection]]
    """Return the items in it, or the record of an unreadable document; may send requests."""

    state: Callable[[], DocumentState | None] = unknown_state
    """Return the state; None: unknown, so the document has to be read."""


def local_document(path: Path, access: SourceAccess) -> ListedDocument:
    """Return a JSON document of this machine."""
    return ListedDocument(
        str(path), partial(items_of_document, str(path), access), partial(state_of_file, path)
    )


def remote_document(
    place: str, access: SourceAccess, *, state: DocumentState | None = None
) -> ListedDocument:
    """Return a JSON document of another machine, with its state if the server reported one."""
    return ListedDocument(place, partial(items_of_document, place, access), lambda: state)


def known_record(record: RejectedScene) -> ListedDocument:
    """Return a document that turned out not to be one, with its record."""
    return ListedDocument(record.href, lambda: (record,))


def read_each(
    documents: Iterable[ListedDocument],
) -> Iterator[tuple[ListedDocument, Iterable[ItemOrRejection]]]:
    """Yield documents with their content, in order; several remote ones are requested concurrently.

    Raises:
        SourceUnavailableError: one did not answer.
    """
    pending = iter(documents)
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        while batch := list(islice(pending, CONCURRENT_READS)):
            if len(batch) > 1 and any(is_remote(document.place) for document in batch):
                yield from zip(batch, pool.map(lambda one: list(one.read()), batch), strict=True)
            else:
                yield from ((document, document.read()) for document in batch)


def state_of_file(path: Path) -> DocumentState | None:
    """Return the state of a file; it differs even for a copy that kept its times."""
    try:
        facts = path.stat()
    except OSError:
        return None
    last = max(facts.st_mtime, facts.st_ctime)
    return DocumentState(
        f"{facts.st_mtime_ns}:{facts.st_ctime_ns}:{facts.st_ino}:{facts.st_size}",
        dt.datetime.fromtimestamp(last, tz=dt.UTC),
    )


def items_of_document(place: str, access: SourceAccess) -> Iterator[ItemOrRejection]:
    """Yield the item of a document, those of a feature collection, or nothing."""
    document = document_or_record(place, access)
    if isinstance(document, RejectedScene):
        # No item is as large, but boundaries may be, and lie beside the scenes.
        is_no_item = document.reason == "too_large" and place.lower().endswith(".geojson")
        yield replace(document, unread=document.unread and not is_no_item)
    elif is_item(document):
        yield RawItem(document, place)
    elif document.get("type") == "FeatureCollection":
        yield from features_of(document, place)


def document_or_record(place: str, access: SourceAccess) -> JsonObject | RejectedScene:
    """Read a document, or return the record of one that cannot be read."""
    content = b""
    try:
        content = read_document(place, access)
        return parse_document(content, place)
    except SceneError as error:
        return rejected_document(place, content, error)


def linked_items(place: str, access: SourceAccess) -> Iterator[ItemOrRejection]:
    """Yield the items of a document that a catalogue links to, or a record of why there are none.

    Raises:
        SourceUnavailableError: it did not answer.
    """
    document = document_or_record(place, access)
    if isinstance(document, RejectedScene):
        yield document
    elif is_item(document):
        yield RawItem(document, place)
    elif document.get("type") == "FeatureCollection":
        yield from features_of(document, place)
    else:
        error = SceneError(
            f"{place} is linked as an item and is none: its type is {document.get('type')!r}; "
            "expected a Feature with stac_version, or a FeatureCollection of such",
            reason="not_an_item",
        )
        yield rejected_document(place, b"", error)


def features_of(collection: JsonObject, place: str) -> Iterator[ItemOrRejection]:
    """Yield the items of a feature collection, and a record if it is one page of a larger one."""
    features = collection.get("features")
    found = features if isinstance(features, list) else []
    items = [
        RawItem(feature, place)
        for feature in found
        if isinstance(feature, Mapping) and is_item(feature)
    ]
    yield from items
    if (items or not found) and _is_one_page(collection, len(items)):
        error = SceneError(
            f"{place} holds {len(items)} items and is one page of more; save all pages in one "
            "document, or name the STAC API itself",
            reason="one_page_of_more",
        )
        yield rejected_document(place, b"", error)


def _is_one_page(collection: JsonObject, items: int) -> bool:
    """Return True if a feature collection says that there are more items than it holds."""
    context, links = collection.get("context"), collection.get("links")
    counts = [
        collection.get("numberMatched"),
        context.get("matched") if isinstance(context, Mapping) else None,
    ]
    has_next = any(
        isinstance(link, Mapping) and link.get("rel") == "next"
        for link in (links if isinstance(links, list) else [])
    )
    return has_next or any(isinstance(count, int) and count > items for count in counts)


def is_item_name(name: str) -> bool:
    """Return True if a file of this name may hold an item, or a catalogue."""
    return name.lower().endswith((".json", ".geojson"))


def is_item(document: JsonObject) -> bool:
    """Return True if a document claims to be a STAC item: other GeoJSON may lie beside items.

    A feature with assets is meant as an item; without `stac_version` it is rejected by that name.
    """
    return document.get("type") == "Feature" and (
        "stac_version" in document or "assets" in document
    )


MAX_DOCUMENT_BYTES = 16 << 20  # the largest item of a real archive has some 50 kB


def read_document(place: str, access: SourceAccess) -> bytes:
    """Return the bytes of a JSON document.

    Raises:
        SceneError: `missing_object`, `forbidden_host`, `too_large` or another permanent reason.
        SourceUnavailableError: a remote place does not answer.
    """
    access.allowed_places.require(place)
    if not is_remote(place):
        return _read_file(Path(place))
    url = signed_url(place, access).url
    return fetch(url, limit=MAX_DOCUMENT_BYTES, access=access)


def parse_document(content: bytes, place: str) -> Mapping[str, Any]:
    """Return the object that a JSON document holds.

    Raises:
        SceneError: `bad_json`.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{place} is not JSON: {error}", reason="bad_json") from error
    if not isinstance(document, Mapping):
        raise SceneError(
            f"{place} holds a JSON {type(document).__name__}; expected an object", reason="bad_json"
        )
    return document


def _read_file(path: Path) -> bytes:
    """Return the bytes of a local document."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except FileNotFoundError as error:
        raise SceneError(f"{path} does not exist", reason="missing_object") from error
    except PermissionError as error:
        raise SceneError(f"{path} may not be read", reason="forbidden") from error
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error}", reason="unreadable_file") from error
    if len(content) > MAX_DOCUMENT_BYTES:
        raise SceneError(
            f"{path} has more than {MAX_DOCUMENT_BYTES} bytes; no STAC item is as large",
            reason="too_large",
        )
    return content
