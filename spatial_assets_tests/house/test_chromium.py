"""The browser of the tests renders a page and leaves a picture of it."""

from __future__ import annotations

import pytest
from PIL import Image

from spatial_assets_tests.servers.chromium import Chromium

pytestmark = pytest.mark.servers


def test_chromium_renders_what_a_script_drew(chromium: Chromium) -> None:
    page = chromium.page()
    page.set_content("<p id=a>before</p><script>document.body.style.background='#0f0'</script>")

    picture = chromium.screenshot(page, "chromium")

    with Image.open(picture) as image:
        assert image.size == (1440, 900)
        assert image.convert("RGB").getpixel((700, 700)) == (0, 255, 0)


def test_chromium_has_fonts_to_write_with(chromium: Chromium) -> None:
    page = chromium.page()
    page.set_content("<span id=narrow>iiii</span> <span id=wide>WWWW</span>")

    widths = page.evaluate("['narrow', 'wide'].map(id => document.getElementById(id).offsetWidth)")

    assert 0 < widths[0] < widths[1]
