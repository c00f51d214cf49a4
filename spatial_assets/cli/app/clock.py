"""The clock that commands read."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, UTC."""
    return datetime.now(UTC)
