"""The stored copy of a boundaries file, brought to this machine whole before anything reads it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.stores.objects import ObjectStore


@contextmanager
def fetched_copy(store: ObjectStore, noted: Mapping[str, object]) -> Iterator[Path]:
    """The copy as a file of this block.

    GDAL would read it over the network, where it takes a body that breaks off for a damaged
    file: a verdict for good on trouble that passes.

    Args:
        store: where the copy is.
        noted: its path and its SHA-256, as noted when it was fetched.

    Raises:
        MissingInputError: the copy is not what was fetched.
        SourceUnavailableError: the store did not answer.
    """
    path = str(noted["path"])
    data = store.find(path)
    if data is None or hashlib.sha256(data).hexdigest() != noted["sha256"]:
        message = f"{store.uri(path)} is not what was fetched; materialize it again"
        raise MissingInputError(message)
    with tempfile.TemporaryDirectory(prefix="spatial-assets-") as folder:
        copy = Path(folder) / path.rpartition("/")[2]
        copy.write_bytes(data)
        yield copy
