"""Kill processes of a run, and find those that are left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path


def kill_a_worker(driver: int, dice: random.Random) -> bool:
    """Kill one worker of a driver; return False if it has none."""
    workers = [pid for pid in descendants(driver) if _works(pid)]
    if not workers:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(dice.choice(workers), signal.SIGKILL)
    return True


def kill_any(command: int, dice: random.Random) -> bool:
    """Kill a command or one of the processes that it started; always returns True."""
    victim = dice.choice([command, *descendants(command)])
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    return True


def descendants(pid: int) -> list[int]:
    """Ids of all child processes of a process, recursively."""
    parents = dict(_parents())
    found, new = [], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return sorted(found)


def alive(pid: int) -> bool:
    """Return True if a process exists and is not a zombie."""
    with contextlib.suppress(OSError, IndexError):
        return _stat(pid)[0] != "Z"
    return False


def _works(pid: int) -> bool:
    """Return True if a process is a worker: forked by the fork server, which has children."""
    children = [child for child, parent in _parents() if parent == pid]
    return not children and _cpu(pid) > 0


def _cpu(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        fields = _stat(pid)
        return int(fields[11]) + int(fields[12])
    return 0


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                yield int(entry.name), int(_stat(int(entry.name))[1])


def _stat(pid: int) -> list[str]:
    """Fields of a process's status after its name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
