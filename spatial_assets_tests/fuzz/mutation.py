"""Damage of inputs: bytes, and values of nested documents. All from one seeded source."""

from __future__ import annotations

import copy
import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Path = tuple[object, ...]

HOSTILE_NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30, 1e-320, 1e308, -1e308)
HOSTILE_TEXTS = (
    "",
    " ",
    "\x00",
    "../../outside/canary.txt",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data",
    "/vsicurl/http://127.0.0.1:9/x.tif",
    "s3://bucket/../../key",
    "%s%n{0}{__class__}",
    "'; DROP TABLE quarantine; --",
    "a" * 5000,
    "\u202e\u0000\ud7ff\U0001f600",
    "2023-13-45T99:99:99Z",
    "NaN",
    "EPSG:999999",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
)
HOSTILE_VALUES: tuple[object, ...] = (
    None,
    True,
    [],
    {},
    [[[[]]]],
    float("nan"),
    float("inf"),
    [None] * 1000,
    *HOSTILE_NUMBERS,
    *HOSTILE_TEXTS,
)


def damaged_bytes(good: bytes, dice: random.Random) -> bytes:
    """The bytes with one to six things done to them, more often near either end than between."""
    data = bytearray(good)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        if not data:
            break
        dice.choice(_BYTE_WAYS)(data, dice)
    return bytes(data)


def _place(data: bytearray, dice: random.Random) -> int:
    """An offset: in the first or last 600 bytes two times of three, where headers are."""
    near = min(len(data), 600)
    kind = dice.randrange(3)
    if kind == 0:
        return dice.randrange(near)
    return len(data) - 1 - dice.randrange(near) if kind == 1 else dice.randrange(len(data))


def _flip(data: bytearray, dice: random.Random) -> None:
    data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _overwrite(data: bytearray, dice: random.Random) -> None:
    at, size = _place(data, dice), dice.choice((1, 2, 4, 8, 32))
    data[at : at + size] = dice.randbytes(size)


def _number(data: bytearray, dice: random.Random) -> None:
    at, kind = _place(data, dice), dice.choice(("<H", ">H", "<I", ">I", "<Q", "<d"))
    value = dice.choice((0, 1, 0xFF, 0x7FFF, 0xFFFF))
    number = float(dice.choice((0.0, 1e308, float("nan")))) if kind == "<d" else value
    packed = struct.pack(kind, number)
    if kind in {"<I", ">I", "<Q"} and dice.random() < 0.5:
        packed = b"\xff" * len(packed)
    data[at : at + len(packed)] = packed


def _truncate(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _remove(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 2, 16, 200))]


def _repeat(data: bytearray, dice: random.Random) -> None:
    at, size = _place(data, dice), dice.choice((4, 64, 500))
    data[at:at] = data[at : at + size] * dice.choice((1, 2, 20))


def _swap(data: bytearray, dice: random.Random) -> None:
    a, b, size = _place(data, dice), _place(data, dice), dice.choice((2, 12, 100))
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


_BYTE_WAYS: Sequence[Callable[[bytearray, random.Random], None]] = (
    *(_flip, _flip, _overwrite, _overwrite, _number, _number),
    *(_truncate, _remove, _repeat, _swap),
)


def damaged_document(good: Mapping[str, Any], dice: random.Random) -> dict[str, Any]:
    """The document with one to four of its values replaced, removed, wrapped or exchanged."""
    document: dict[str, Any] = copy.deepcopy(dict(good))
    for _ in range(dice.choice((1, 1, 2, 4))):
        places = list(_places(document))
        if not places:
            break
        _damage_value(document, dice.choice(places), dice)
    return document


def _places(value: object, path: Path = ()) -> Iterator[Path]:
    """The path of every value within a document."""
    inner: Sequence[tuple[object, object]] = ()
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:20]))
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, (*path, key))


def _damage_value(document: Any, path: Path, dice: random.Random) -> None:  # noqa: ANN401 - JSON
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    key, way = path[-1], dice.randrange(6)
    if way == 0:
        del holder[key]
    elif way == 1:
        holder[key] = [holder[key]]
    elif way == 2 and isinstance(holder, dict):
        holder[dice.choice(HOSTILE_TEXTS)] = holder.pop(key)
    elif way == 3 and isinstance(holder[key], int | float):
        holder[key] = dice.choice(HOSTILE_NUMBERS)
    else:
        holder[key] = copy.deepcopy(dice.choice(HOSTILE_VALUES))
