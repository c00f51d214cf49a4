"""A full disk: a small one if this process may mount it, otherwise a limit on the size of files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SMALL_FILE = 700
"""Bytes; some objects are larger, some are smaller."""


@dataclass
class LimitedDisk:
    """A folder for the product with limited space."""

    folder: Path
    mounted: bool = False

    @property
    def max_file_bytes(self) -> int:
        """Maximum size of a file in bytes; 0: the disk itself is the limit."""
        return 0 if self.mounted else SMALL_FILE

    def limit(self, kilobytes: int) -> None:
        """Limit the space of the folder."""
        self.folder.mkdir(parents=True)
        self.mounted = self._mount(f"size={kilobytes}k")

    def lift_limit(self) -> None:
        """Lift the limit."""
        if self.mounted:
            self._mount("remount,size=256m")

    def remove(self) -> None:
        """Unmount and delete the folder."""
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mount(self, options: str) -> bool:
        if shutil.which("mount") is None:
            return False
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
