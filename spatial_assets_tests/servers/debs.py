"""Debian packages unpacked into a folder of our own: no root, nothing on the system changes.

apt resolves and downloads with a private state, `dpkg-deb -x` unpacks. What the system has
already is not fetched again, so a prefix holds a program and the libraries missing here.
Standard library only. Which programs are wanted, and what they need in their environment
beyond libraries, belongs in the modules named after them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from spatial_assets_tests.servers.process import REPOSITORY, ServerError

TOOLS_VARIABLE = "SPATIAL_ASSETS_TOOLS"
UNREAD = ("doc", "man", "locale", "icons", "lintian", "help")  # in usr/share; half of the files
LISTS_MAX_AGE_DAYS = 1  # older package lists name files that a security update has replaced
# A C library in LD_LIBRARY_PATH that is not the running loader's own crashes every program.
NEVER_UNPACKED = re.compile(r"^(libc6|libc-bin|libc-l10n|locales)_")

APT_CONFIGURATION = """
Dir::State "{folder}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
"""


def tools_folder() -> Path:
    """Folder of unpacked programs, kept across runs: .tools in the checkout, or the variable's.

    As root the server runs as somebody else, who must be able to enter the folder: if not,
    it is in /var/tmp.
    """
    chosen = os.environ.get(TOOLS_VARIABLE)
    folder = Path(chosen).resolve() if chosen else REPOSITORY / ".tools"
    if not chosen and os.geteuid() == 0 and not enterable_by_all(REPOSITORY):
        folder = Path("/var/tmp/spatial-assets-tools")  # noqa: S108 - its owner is checked below
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise ServerError(f"{folder} belongs to another user; name your own in ${TOOLS_VARIABLE}")
    return folder


def enterable_by_all(folder: Path) -> bool:
    """Return True if every user may enter this folder."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the tools folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def no_more(prefix: Path) -> None:
    """Nothing is left to do for packages that work as unpacked."""


class PackageSource:
    """The system's package sources, read with an apt state of our own."""

    def __init__(self, folder: Path) -> None:
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise ServerError(
                "this system has no apt-get: install PostgreSQL with PostGIS, and Chromium, "
                "with your own package manager, and run again"
            )
        self._folder = folder
        self._configuration = folder / "apt.conf"

    def refresh(self) -> None:
        """Fetch the package lists, unless they were fetched today."""
        stamp = self._folder / "lists-fetched"
        for part in ("state/lists/partial", "cache/archives/partial", "log"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(APT_CONFIGURATION.format(folder=self._folder))
        fresh = ["-newermt", f"{LISTS_MAX_AGE_DAYS} day ago"]
        if stamp.exists() and self._run("find", stamp, *fresh).strip():
            return
        say("fetching Debian package lists")
        self._run("apt-get", "update")
        stamp.touch()

    def names(self, prefix: str) -> list[str]:
        """Names of all packages that begin with `prefix`."""
        return sorted(self._run("apt-cache", "pkgnames", prefix).split())

    def version(self, package: str) -> str | None:
        """The version apt would install, or None."""
        policy = self._run("apt-cache", "policy", package)
        found = re.search(r"Candidate: (\S+)", policy)
        return found.group(1) if found and found.group(1) != "(none)" else None

    def unpack(
        self, packages: Sequence[str], prefix: Path, *, finish: Callable[[Path], None] = no_more
    ) -> None:
        """Put these packages, and what they depend on and is not installed, below `prefix`.

        Args:
            finish: what the packages' own install scripts would have done. The folder takes
                its name last, so a prefix that exists is whole.
        """
        archives = self._folder / "cache/archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        say(f"downloading {', '.join(packages)}")
        self._run("apt-get", "install", "--yes", "--download-only", "--reinstall", *packages)
        part = prefix.with_name(f"{prefix.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o755)
        debs = [deb for deb in sorted(archives.glob("*.deb")) if not NEVER_UNPACKED.match(deb.name)]
        say(f"unpacking {len(debs)} packages into {prefix}")
        for deb in debs:
            self._run("dpkg-deb", "-x", deb, part)
            deb.unlink()
        for folder in UNREAD:
            shutil.rmtree(part / "usr/share" / folder, ignore_errors=True)
        part.chmod(0o755)  # dpkg-deb gives it the mode of the archive's root
        finish(part)
        part.rename(prefix)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            env={**os.environ, "APT_CONFIG": str(self._configuration), "LC_ALL": "C.UTF-8"},
        )
        if done.returncode != 0:
            raise ServerError(
                f"`{' '.join(map(str, command))}` failed:\n{done.stderr.strip()}\n"
                "Check the network and /etc/apt/sources.list, or install PostgreSQL with PostGIS, "
                "and Chromium, on the system."
            )
        return done.stdout


def prefix_folder(name: str) -> Path:
    """Folder of the packages of `name`; each system release has its own."""
    release = platform.freedesktop_os_release()
    return tools_folder() / f"{name}-{release['ID']}{release.get('VERSION_ID', '')}"


def library_environment(prefix: Path) -> Mapping[str, str]:
    """The variable with which programs below `prefix` find libraries there."""
    folders = [
        folder
        for top in ("usr/lib", "lib")
        for triplet in sorted((prefix / top).glob("*-linux-gnu*"))
        for folder in (triplet, *library_folders(triplet))
    ]
    folders += library_folders(prefix / "usr")  # a few packages know no triplet
    inherited = [value] if (value := os.environ.get("LD_LIBRARY_PATH")) else []
    return {"LD_LIBRARY_PATH": ":".join([*map(str, folders), *inherited])}


def library_folders(triplet: Path) -> list[Path]:
    """Subfolders with libraries (blas, lapack, nss, ...), which a postinst would link to."""
    return sorted({library.parent for library in triplet.glob("*/lib*.so*")})


def say(progress: str) -> None:
    """Print the progress of the download to a terminal."""
    sys.stderr.write(f"  {progress}\n")
    sys.stderr.flush()
