"""Documents of a catalogue before they are read: where each is, and what tells it from another.

What a document holds is read from here too; which documents there are is decided in sources.py.

JSON documents of a catalogue, local or remote, bounded in size.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """What tells a document from what was there under its name before."""

    text: str
    written: dt.datetime | None = None
    """By a clock that may be too coarse to tell two changes apart; None: nothing of the kind."""


def unknown_state() -> DocumentState | None:
    """Of a document that does not say: it is read each time."""
    return None


@dataclass(frozen=True)
class ListedDocument:
    """One document that may hold items."""

    place: str
    """Absolute path or URL."""

    read: Callable[[], Iterable[ItemOrRejection]]
    """The items in it, or the record of a document that cannot be read; asks a server."""

    state: Callable[[], DocumentState | None] = unknown_state
    """None: it cannot be told, so it has to be read."""


def local_document(path: Path, access: SourceAccess) -> ListedDocument:
    """A JSON document of this machine."""
    return ListedDocument(
        str(path), partial(items_of_document, str(path), access), partial(state_of_file, path)
    )


def remote_document(
    place: str, access: SourceAccess, *, state: DocumentState | None = None
) -> ListedDocument:
    """A JSON document of another machine, and its state where its server told."""
    return ListedDocument(place, partial(items_of_document, place, access), lambda: state)


def known_record(record: RejectedScene) -> ListedDocument:
    """What turned out to be no document."""
    return ListedDocument(record.href, lambda: (record,))


def read_each(
    documents: Iterable[ListedDocument],
) -> Iterator[tuple[ListedDocument, Iterable[ItemOrRejection]]]:
    """Documents with what is in them, in order; of remote ones several are asked for at once.

    Raises:
        SourceUnavailableError: one did not answer.
    """
    waiting = iter(documents)
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        while batch := list(islice(waiting, CONCURRENT_READS)):
            if len(batch) > 1 and any(is_remote(document.place) for document in batch):
                yield from zip(batch, pool.map(lambda one: list(one.read()), batch), strict=True)
            else:
                yield from ((document, document.read()) for document in batch)


def state_of_file(path: Path) -> DocumentState | None:
    """What tells a file from what was there before, a copy that kept its times included."""
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
    """The item of a document, several of a feature collection, none of anything else."""
    document = document_or_record(place, access)
    if isinstance(document, RejectedScene):
        yield document
    elif is_item(document):
        yield RawItem(document, place)
    elif document.get("type") == "FeatureCollection":
        yield from features_of(document, place)


def document_or_record(place: str, access: SourceAccess) -> JsonObject | RejectedScene:
    """A document, or the record of one that cannot be read."""
    content = b""
    try:
        content = read_document(place, access)
        return parse_document(content, place)
    except SceneError as error:
        return rejected_document(place, content, error)


def features_of(collection: JsonObject, place: str) -> Iterator[RawItem]:
    """The items of a feature collection."""
    features = collection.get("features")
    for feature in features if isinstance(features, list) else []:
        if isinstance(feature, Mapping) and is_item(feature):
            yield RawItem(feature, place)


def is_item(document: JsonObject) -> bool:
    """Whether a document means to be a STAC item: other GeoJSON may lie beside them."""
    return document.get("type") == "Feature" and "stac_version" in document


MAX_DOCUMENT_BYTES = 16 << 20  # bytes; the largest item of a real archive has some 50 kB


def read_document(place: str, access: SourceAccess) -> bytes:
    """The bytes of a JSON document.

    Raises:
        SceneError: `missing_object`, `forbidden_host`, `too_large` or another lasting reason.
        SourceUnavailableError: a remote place does not answer.
    """
    access.allowed_places.require(place)
    if not is_remote(place):
        return _read_file(Path(place))
    url = signed_url(place, access).url
    return fetch(url, limit=MAX_DOCUMENT_BYTES, access=access)


def parse_document(content: bytes, place: str) -> Mapping[str, Any]:
    """The object that a JSON document holds.

    Raises:
        SceneError: `bad_json`.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{place} is not JSON: {error}", reason="bad_json") from error
    if not isinstance(document, Mapping):
        raise SceneError(
            f"{place} holds a JSON {type(document).__name__}, expected an object", reason="bad_json"
        )
    return document


def _read_file(path: Path) -> bytes:
    """The bytes of a local document."""
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
            f"{path} has more than {MAX_DOCUMENT_BYTES} bytes; no STAC item has", reason="too_large"
        )
    return content
