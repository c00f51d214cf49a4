"""Read-only Zarr store over a folder of an object store.

It replaces zarr's own ObjectStore, which awaits obstore's coroutines, whose Rust threads call into
Python when they finish. If the process exits at that moment, Python 3.11 to 3.13 abort it (one exit
in three, measured; a known issue of pyo3-async-runtimes): exit code -6 after a successful run.
Blocking calls in Python threads never do; they also get our retries and errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
)
from zarr.core.buffer import Buffer, BufferPrototype

from spatial_assets.stores.objects.store import ObjectStore


class ReadOnlyZarrStore(Store):
    """Objects below one folder, read-only."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, store: ObjectStore, folder: str) -> None:
        super().__init__(read_only=True)
        self._store = store
        self._folder = folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOnlyZarrStore) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self._store.uri(self._folder)

    def __repr__(self) -> str:
        return f"ReadOnlyZarrStore({str(self)!r})"

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, or the requested part of it; None if there is none."""
        part = None if byte_range is None else as_slice(byte_range)
        data = await asyncio.to_thread(self._store.find, self._path(key), part=part)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Read parts of several objects."""
        reads = [self.get(key, prototype, byte_range) for key, byte_range in key_ranges]
        return list(await asyncio.gather(*reads))

    async def exists(self, key: str) -> bool:
        """Return True if there is such an object."""
        return await asyncio.to_thread(self._store.head, self._path(key)) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write: zarr itself would decide the order of writes."""
        del key, value
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        del key
        self._check_writable()

    def list(self) -> AsyncIterator[str]:
        """List all keys."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List all keys that start with `prefix`."""
        for info in await asyncio.to_thread(self._store.list, self._folder):
            key = info.path[len(self._folder) + 1 :]
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names of objects and folders directly below `prefix`."""
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        names = {
            key[len(folder) :].split("/", 1)[0]: None async for key in self.list_prefix(folder)
        }
        for name in names:
            yield name

    def _path(self, key: str) -> str:
        return f"{self._folder}/{key}"


def as_slice(request: ByteRequest) -> slice:
    """Convert zarr's byte request to a slice."""
    if isinstance(request, RangeByteRequest):
        return slice(request.start, request.end)
    if isinstance(request, OffsetByteRequest):
        return slice(request.offset, None)
    return slice(-request.suffix, None)
