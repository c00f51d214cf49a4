"""`file:checksum` of STAC: a multihash in hexadecimal, and the digest to compare with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

_ALGORITHMS = {  # code of the multihash table -> name in hashlib
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3_512",
    0x16: "sha3_256",
    0x20: "sha384",
    0xD5: "md5",
}
_MORE = 0x80  # a varint's bytes carry seven bits each, and this one while more follow
_PLAIN_MD5 = 32  # hexadecimal digits: some archives write the MD5 as it is


class _Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """In hexadecimal."""


@dataclass
class Digest:
    """The digest of what was read so far, and what it should become."""

    name: str
    """Of the algorithm; empty: there is nothing to compare with."""

    expected: str
    """Hexadecimal."""

    size: int = field(default=0, init=False)
    """Bytes so far."""

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
        """The digest so far, hexadecimal; empty where nothing is compared."""
        return self._hash.hexdigest() if self._hash is not None else ""

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against the content."""
        return self.found == self.expected


def digest_of(multihash: str | None) -> Digest:
    """A digest to compare with a multihash; one of an unknown kind is not compared."""
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
    """(number, what follows it); -1 where there is none."""
    number = 0
    for place, byte in enumerate(data[:9]):
        number |= (byte & ~_MORE) << (7 * place)
        if not byte & _MORE:
            return number, data[place + 1 :]
    return -1, b""
