"""A disk that is full: a small one where this process may mount it, else files cannot grow."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SMALL_FILE = 700
"""Bytes; some objects are larger, some are not."""


@dataclass
class Disk:
    """A folder for the product, with little room."""

    folder: Path
    mounted: bool = False

    @property
    def most_bytes(self) -> int:
        """What a file may have; 0: the disk itself is the limit."""
        return 0 if self.mounted else SMALL_FILE

    def shrink(self, kilobytes: int) -> None:
        """Leave so much room."""
        self.folder.mkdir(parents=True)
        self.mounted = self._mount(f"size={kilobytes}k")

    def grow(self) -> None:
        """Make room."""
        if self.mounted:
            self._mount("remount,size=256m")

    def remove(self) -> None:
        """Forget it."""
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mount(self, options: str) -> bool:
        if shutil.which("mount") is None:
            return False
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
