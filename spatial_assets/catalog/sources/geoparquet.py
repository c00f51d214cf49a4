"""Items of a stac-geoparquet file, local or remote, batch by batch.

A module of its own, as stac-geoparquet is slow to import and only such a file needs it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from stac_geoparquet.arrow import stac_table_to_items

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.remote_objects import look_up_document
from spatial_assets.catalog.access.requests import fetch
from spatial_assets.catalog.access.signing import signed_url
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.sources.documents import DocumentState, ListedDocument, state_of_file
from spatial_assets.catalog.stac.items import RawItem
from spatial_assets.errors import SceneError, SettingsError

MAX_TABLE_BYTES = 1 << 30  # of a remote file, which is held in memory; a local one is not
ROWS_PER_BATCH = 1000


def table_document(catalog: str, access: SourceAccess) -> ListedDocument:
    """Return the table as one document: it is read as a whole or not at all."""
    return ListedDocument(
        catalog, partial(items_of_table, catalog, access), partial(_state, catalog, access)
    )


def items_of_table(catalog: str, access: SourceAccess) -> Iterator[RawItem]:
    """Yield every item of the table.

    Raises:
        SettingsError: the file is missing or no stac-geoparquet.
        SourceUnavailableError: a remote file did not answer.
    """
    try:
        with pq.ParquetFile(_source(catalog, access)) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_BATCH):
                for item in stac_table_to_items(pa.Table.from_batches([batch])):
                    yield RawItem(item, catalog)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, SceneError) as error:
        raise SettingsError(
            f"[scenes] catalog = {catalog} cannot be read as stac-geoparquet: "
            f"{type(error).__name__}: {error}"
        ) from error


def _state(catalog: str, access: SourceAccess) -> DocumentState | None:
    """Return the state of the table.

    Raises:
        SourceUnavailableError: a remote file did not answer.
    """
    if not is_remote(catalog):
        return state_of_file(Path(catalog))
    try:
        facts = look_up_document(catalog, access)
    except SceneError:
        return None  # reading it raises the reason
    return DocumentState(facts.version) if facts.etag else None


def _source(catalog: str, access: SourceAccess) -> Path | io.BytesIO:
    """Return the file as pyarrow opens it."""
    if not is_remote(catalog):
        return Path(catalog)
    url = signed_url(catalog, access).url
    return io.BytesIO(fetch(url, limit=MAX_TABLE_BYTES, access=access))
