"""The one clock of the command line, and its name as a writer."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


def owner() -> str:
    """Who holds a lease, for people: host and process."""
    return f"{socket.gethostname()} process {os.getpid()}"
