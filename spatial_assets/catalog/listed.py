"""Documents of a catalogue before they are read: where each is, and what tells it from another.

What a document holds is read from here too; which documents there are is decided in sources.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.documents import parse_document, read_document
from spatial_assets.catalog.hrefs import is_remote
from spatial_assets.catalog.items import RawItem, rejected_document
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.errors import SceneError

READS_AT_ONCE = 16

Found = RawItem | RejectedScene
Json = Mapping[str, object]


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
class Listed:
    """One document that may hold items."""

    place: str
    """Absolute path or URL."""

    read: Callable[[], Iterable[Found]]
    """The items in it, or the record of a document that cannot be read; asks a server."""

    state: Callable[[], DocumentState | None] = unknown_state
    """None: it cannot be told, so it has to be read."""


def local_document(path: Path, access: SourceAccess) -> Listed:
    """A JSON document of this machine."""
    return Listed(
        str(path), partial(items_of_document, str(path), access), partial(state_of_file, path)
    )


def remote_document(
    place: str, access: SourceAccess, *, state: DocumentState | None = None
) -> Listed:
    """A JSON document of another machine, and its state where its server told."""
    return Listed(place, partial(items_of_document, place, access), lambda: state)


def known_record(record: RejectedScene) -> Listed:
    """What turned out to be no document."""
    return Listed(record.href, lambda: (record,))


def read_each(documents: Iterable[Listed]) -> Iterator[tuple[Listed, Iterable[Found]]]:
    """Documents with what is in them, in order; of remote ones several are asked for at once.

    Raises:
        SourceUnavailableError: one did not answer.
    """
    waiting = iter(documents)
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        while batch := list(islice(waiting, READS_AT_ONCE)):
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


def items_of_document(place: str, access: SourceAccess) -> Iterator[Found]:
    """The item of a document, several of a feature collection, none of anything else."""
    document = document_or_record(place, access)
    if isinstance(document, RejectedScene):
        yield document
    elif is_item(document):
        yield RawItem(document, place)
    elif document.get("type") == "FeatureCollection":
        yield from features_of(document, place)


def document_or_record(place: str, access: SourceAccess) -> Json | RejectedScene:
    """A document, or the record of one that cannot be read."""
    content = b""
    try:
        content = read_document(place, access)
        return parse_document(content, place)
    except SceneError as error:
        return rejected_document(place, content, error)


def features_of(collection: Json, place: str) -> Iterator[RawItem]:
    """The items of a feature collection."""
    features = collection.get("features")
    for feature in features if isinstance(features, list) else []:
        if isinstance(feature, Mapping) and is_item(feature):
            yield RawItem(feature, place)


def is_item(document: Json) -> bool:
    """Whether a document means to be a STAC item: other GeoJSON may lie beside them."""
    return document.get("type") == "Feature" and "stac_version" in document
