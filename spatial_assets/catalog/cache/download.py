"""Whole files in a bounded local cache: verified, and shared by all processes of a machine.

The name of a copy is a hash of its href and version, so a changed file is another copy. A copy
appears by one rename; the least recently used copies are evicted when the cache is full.

`file:checksum` of STAC is a multihash in hexadecimal: a code of the algorithm, a length, a digest.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from spatial_assets.catalog.access.file_versions import local_version
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.remote_objects import streamed
from spatial_assets.catalog.access.requests import short_body, with_request_retries
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.eviction import COPY_SUFFIX, evict
from spatial_assets.catalog.cache.sparse_file import PARTIAL_SUFFIX
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets

DOWNLOAD_CHUNK_BYTES = 1 << 20
LOCK_SUFFIX = ".lock"

_verified: set[tuple[str, str, str | None, int | None]] = set()
"""Local files whose content this process has compared with their items."""


def has_copy(source: BandSource, access: SourceAccess) -> bool:
    """Return True if the cache holds a whole copy of a remote file."""
    return _is_there(access.cache_folder / _name(source))


def forget_copy(source: BandSource, access: SourceAccess) -> None:
    """Remove the copy of a remote file, so that it is downloaded again."""
    (access.cache_folder / _name(source)).unlink(missing_ok=True)


def local_copy(source: BandSource, access: SourceAccess) -> Path:
    """Return the path of a local file with the source's content, downloaded now if needed.

    Raises:
        SceneError: missing, forbidden, `checksum_mismatch`, `size_mismatch`, `larger_than_cache`.
        SourceUnavailableError: the archive did not answer.
    """
    if not is_remote(source.href):
        return _verified_in_place(source)
    access.allowed_places.require(source.href)
    copy = access.cache_folder / _name(source)
    if _is_there(copy):
        return copy
    try:
        with _one_at_a_time(copy):
            if not _is_there(copy):
                _download(source, copy, access)
    except OSError as error:
        raise SourceUnavailableError(
            f"the cache {copy.parent} cannot be written: {error.strerror}; free disk space, or "
            "name another folder in [scenes] cache"
        ) from error
    return copy


def _verified_in_place(source: BandSource) -> Path:
    """Compare a local file with its item, once a process, and return its path."""
    path = Path(source.href)
    key = (source.href, local_version(path), source.checksum, source.size)
    if key not in _verified:
        digest = digest_of(source.checksum)
        with path.open("rb") as file:
            while piece := file.read(DOWNLOAD_CHUNK_BYTES):
                digest.update(piece)
        _require_promised(source, digest)
        _verified.add(key)
    return path


def _name(source: BandSource) -> str:
    """Return the file name of a copy."""
    identity = f"{source.href}\n{source.version}\n{source.checksum}"
    return f"{hashlib.sha256(identity.encode()).hexdigest()[:40]}{COPY_SUFFIX}"


def _is_there(copy: Path) -> bool:
    """Return True if a copy exists, and count it as just used."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.utime(copy)
        return True
    return False


@contextlib.contextmanager
def _one_at_a_time(copy: Path) -> Iterator[None]:
    """Let one process of the machine download a file while the others wait for it."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with copy.with_suffix(LOCK_SUFFIX).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            copy.with_suffix(LOCK_SUFFIX).unlink(missing_ok=True)


def _download(source: BandSource, copy: Path, access: SourceAccess) -> None:
    """Download the file, verify it, evict others for it, and let it appear."""
    partial = with_request_retries(
        lambda: _fetched(source, copy.parent, access), access.retry_policy, place=source.href
    )
    try:
        evict(copy.parent, access, incoming=partial.stat().st_size)
        partial.replace(copy)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _fetched(source: BandSource, folder: Path, access: SourceAccess) -> Path:
    """Fetch the whole, verified body into a partial file; nothing is left if that fails."""
    digest = digest_of(source.checksum)
    handle, name = tempfile.mkstemp(suffix=PARTIAL_SUFFIX, dir=folder)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, streamed(source, access) as answer:
            promised = answer.headers.get("content-length", "")
            _require_fits(source, int(promised) if promised.isdigit() else 0, access)
            for piece in answer.iter_raw(DOWNLOAD_CHUNK_BYTES):
                digest.update(piece)
                file.write(piece)
                _require_fits(source, digest.size, access)
        _require_whole(digest, promised)
        _require_promised(source, digest)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def _require_whole(digest: Digest, promised: str) -> None:
    """Have a body that ended too early requested again."""
    if promised.isdigit() and digest.size < int(promised):
        raise short_body(f"{digest.size} of {promised} bytes")


def _require_fits(source: BandSource, size: int, access: SourceAccess) -> None:
    """Refuse a file that is larger than the whole cache."""
    if size > access.cache_bytes:
        raise SceneError(
            f"{mask_secrets(source.href)} is larger than the {access.cache_bytes >> 20} MB of "
            '[scenes] cache_mb; raise that, or set access = "stream"',
            reason="larger_than_cache",
        )


def _require_promised(source: BandSource, digest: Digest) -> None:
    """Refuse content that differs from the item's size or checksum."""
    shown = mask_secrets(source.href)
    if source.size is not None and digest.size != source.size:
        raise SceneError(
            f"{shown} has {digest.size} bytes, the item's file:size is {source.size}",
            reason="size_mismatch",
        )
    if not digest.agrees:
        raise SceneError(
            f"{shown} has the {digest.name} {digest.found[:16]}..., the item's file:checksum is "
            f"{digest.expected[:16]}...: it is damaged or has been replaced",
            reason="checksum_mismatch",
        )


_ALGORITHMS = {  # code of the multihash table -> name in hashlib
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3_512",
    0x16: "sha3_256",
    0x20: "sha384",
    0xD5: "md5",
}
_MORE = 0x80  # each byte of a varint carries seven bits, and this one if more bytes follow
_PLAIN_MD5 = 32  # hexadecimal digits: some archives write a plain MD5


class _Hash(Protocol):
    """Hash object of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""


@dataclass
class Digest:
    """Digest of the bytes read so far, and the one expected at the end."""

    name: str
    """Name of the algorithm; empty: there is no digest to compare with."""

    expected: str
    """Expected digest in hexadecimal."""

    size: int = field(default=0, init=False)
    """Number of bytes so far."""

    _hash: _Hash | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.name:
            self._hash = hashlib.new(self.name, usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        """Add bytes."""
        self.size += len(piece)
        if self._hash is not None:
            self._hash.update(piece)

    @property
    def found(self) -> str:
        """Digest so far in hexadecimal; empty if none is expected."""
        return self._hash.hexdigest() if self._hash is not None else ""

    @property
    def agrees(self) -> bool:
        """True if the digest is the expected one, or none is expected."""
        return self.found == self.expected


def digest_of(multihash: str | None) -> Digest:
    """Return a digest to compare with a multihash; an unknown algorithm is not compared."""
    try:
        data = bytes.fromhex(multihash or "")
    except ValueError:
        return Digest("", "")
    code, rest = _varint(data)
    length, digest = _varint(rest)
    name = _ALGORITHMS.get(code, "")
    if name and length == len(digest) == hashlib.new(name, usedforsecurity=False).digest_size:
        return Digest(name, digest.hex())
    return Digest("md5", data.hex()) if len(data) * 2 == _PLAIN_MD5 else Digest("", "")


def _varint(data: bytes) -> tuple[int, bytes]:
    """Return (number, the bytes after it); -1 if there is none."""
    number = 0
    for place, byte in enumerate(data[:9]):
        number |= (byte & ~_MORE) << (7 * place)
        if not byte & _MORE:
            return number, data[place + 1 :]
    return -1, b""
