"""A real Chromium, driven by playwright, and pages that can save a screenshot.

The browser is the system's, else Debian's package unpacked into the tools folder, else the
one that playwright downloads (Ubuntu's package is a snap, which cannot be unpacked).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright

from spatial_assets_tests.servers.debs import (
    PackageSource,
    library_environment,
    one_at_a_time,
    prefix_folder,
    say,
)
from spatial_assets_tests.servers.process import RESULTS, ServerError

PROGRAM_VARIABLE = "SPATIAL_ASSETS_CHROMIUM"
PROGRAM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = (
    "chromium",
    "fontconfig-config",
    "fonts-dejavu-core",
    "fonts-liberation",
    "libatomic1",  # playwright's own node needs it
)
SNAP_IN_DISGUISE = "snap"  # stands in the version of Ubuntu's empty package
PAGE_TIMEOUT_MS = 30_000.0  # Dagster's UI takes seconds to load on two busy cores
FLAGS = (
    # Neither a sandbox nor a GPU is to be had in most containers.
    "--no-sandbox",
    "--disable-gpu",
    # /dev/shm is 64 MB there: too little for one large page.
    "--disable-dev-shm-usage",
    # It talks to our own servers and to nobody else.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{prefix}/usr/share/fonts</dir><dir>/usr/share/fonts</dir>
  <cachedir>{prefix}/font-cache</cachedir>
</fontconfig>
"""


@dataclass(frozen=True, kw_only=True)
class ChromiumProgram:
    """An installed Chromium."""

    executable: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment that leads it to its libraries and fonts."""


@dataclass(frozen=True)
class Chromium:
    """A running browser."""

    browser: Browser

    def page(self, url: str | None = None, *, width: int = 1440, height: int = 900) -> Page:
        """A new page without cookies or history, at `url` if given."""
        page = self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PAGE_TIMEOUT_MS)
        if url is not None:
            page.goto(url)
        return page

    def screenshot(self, page: Page, name: str) -> Path:
        """Save a screenshot as test-results/<name>.png."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{name}.png"
        page.screenshot(path=path)
        return path


def chromium_program() -> ChromiumProgram:
    """The Chromium to use; the order is in the module's docstring.

    Raises:
        ServerError: there is none, and none could be fetched.
    """
    chosen = os.environ.get(PROGRAM_VARIABLE)
    if chosen:
        return ChromiumProgram(executable=Path(chosen))
    installed = [path for name in PROGRAM_NAMES if (path := shutil.which(name))]
    for path in installed:
        if works(ChromiumProgram(executable=Path(path))):
            return ChromiumProgram(executable=Path(path))
    return unpacked_program() or downloaded_program()


def works(program: ChromiumProgram) -> bool:
    """Return True if the program starts; Ubuntu's stub for a snap does not."""
    environment = {**os.environ, **program.environment}
    command = [str(program.executable), "--version", "--no-sandbox"]
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    )


def unpacked_program() -> ChromiumProgram | None:
    """Debian's Chromium in a prefix of ours, fetched the first time; None where apt has none."""
    prefix = prefix_folder("chromium")
    with one_at_a_time(prefix.parent):
        if not prefix.exists():
            source = PackageSource(prefix.parent / "apt")
            source.refresh()
            if SNAP_IN_DISGUISE in (source.version("chromium") or SNAP_IN_DISGUISE):
                return None
            source.unpack(PACKAGES, prefix)
    fonts = prefix / "fonts.conf"
    fonts.write_text(FONTS.format(prefix=prefix))
    program = ChromiumProgram(
        executable=prefix / "usr/lib/chromium/chromium",
        environment={**library_environment(prefix), "FONTCONFIG_FILE": str(fonts)},
    )
    if not works(program):
        raise ServerError(
            f"{program.executable} does not start; remove {prefix} and run again, "
            f"or name a Chromium in ${PROGRAM_VARIABLE}"
        )
    return program


def downloaded_program() -> ChromiumProgram:
    """The browser that playwright downloads."""
    say("downloading playwright's Chromium")
    command = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.findall(r"downloaded to (\S+)", done.stdout)
    with sync_playwright() as playwright:
        program = ChromiumProgram(executable=Path(playwright.chromium.executable_path))
    if done.returncode != 0 or not program.executable.exists() or not works(program):
        raise ServerError(
            f"no Chromium: apt has none that can be unpacked, and playwright's did not come "
            f"{found or done.stderr.strip()[-500:]}; install one, or name it in ${PROGRAM_VARIABLE}"
        )
    return program


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium; each `.page()` starts clean.

    Not for the whole session: while playwright runs, this thread cannot run an event loop.
    """
    program = chromium_program()
    playwright = start_playwright(program)
    try:
        browser = playwright.chromium.launch(
            executable_path=program.executable,
            args=list(FLAGS),
            env={**os.environ, **program.environment},
        )
        yield Chromium(browser)
        browser.close()
    except Error as error:
        raise ServerError(f"{program.executable} does not start: {error}") from error
    finally:
        playwright.stop()


def start_playwright(program: ChromiumProgram) -> Playwright:
    """Start playwright's own server; it finds its libatomic among the unpacked libraries."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in program.environment.items():
            patch.setenv(name, value)
        return sync_playwright().start()
