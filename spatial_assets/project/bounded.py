"""Files that people point us at, read only as far as such a file can reasonably go."""

from __future__ import annotations

from pathlib import Path


def bounded_bytes(path: Path, most: int) -> bytes:
    """The whole file; a device that never ends is not read to its end.

    Raises:
        ValueError: it has more than `most` bytes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        message = f"it has more than {most:,} bytes"
        raise ValueError(message)
    return data
