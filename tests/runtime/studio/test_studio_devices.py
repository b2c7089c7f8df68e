"""The studio in a real browser: files that are dropped or pasted, and fingers on a touch screen."""

import base64

import numpy as np
import pytest
from PIL import Image

from runtime.commands import ASSETS
from runtime.media.images import read_photo
from tests.browser import CHROMIUM
from tests.runtime.studio.studio_page import open_studio

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs Debian's")
# What a browser makes of a copied picture; reading the real clipboard needs a person's consent.
PASTE = """(() => {{
    const bytes = Uint8Array.from(atob('{picture}'), (one) => one.charCodeAt(0)), clipboardData = new DataTransfer();
    clipboardData.items.add(new File([bytes], 'image.png', {{ type: 'image/png' }}));
    dispatchEvent(new ClipboardEvent('paste', {{ clipboardData }}));
}})()"""


@pytest.fixture(scope="module")
def page():
    with open_studio(ASSETS / "inpaint.onnx") as shown:
        shown.show("holes")
        yield shown


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)).save(path)
    return path


def shows(page, path):
    height, width = read_photo(path).shape[:2]
    page.until(f"studio.current.view.size[0] === {width} && studio.current.view.size[1] === {height}")
    page.settle()


def test_a_dropped_picture_is_opened(page, picture):
    page.page.drop(page.at("holes-view", 20, 20), picture)
    shows(page, picture)


def test_a_dropped_file_that_is_no_picture_is_refused_by_name_and_changes_nothing(page, picture, tmp_path):
    page.page.drop(page.at("holes-view", 20, 20), picture)
    shows(page, picture)
    (tmp_path / "notes.txt").write_text("no picture")
    page.page.drop(page.at("holes-view", 20, 20), tmp_path / "notes.txt")
    page.until("studio.errors.length")
    assert page.value("studio.errors.splice(0)") == [
        "notes.txt is no picture that this browser reads; give a PNG, JPEG or WebP"
    ]
    shows(page, picture)


def test_a_pasted_picture_is_opened(page, picture, tmp_path):
    page.page.drop(page.at("holes-view", 20, 20), picture)
    shows(page, picture)
    other = tmp_path / "other.png"
    Image.fromarray(np.ascontiguousarray(read_photo(picture)[:48])).save(other)
    page.value(PASTE.format(picture=base64.b64encode(other.read_bytes()).decode()))
    shows(page, other)


def missing(page):
    """Pixels of the mask."""
    return (page.png("studio.current.maskFile()")[..., :3].max(axis=2) > 0).sum()


def test_one_finger_paints_and_two_zoom_without_a_dab(page, picture):
    page.page.drop(page.at("holes-view", 20, 20), picture)
    shows(page, picture)
    page.page.press("b")
    page.value("studio.current.brush.value = 5")
    page.page.touch(*([page.at("holes-view", x, 40)] for x in (40, 60, 80)))
    page.until("studio.current.mask.past.length === 1")
    painted, scale = missing(page), page.value("studio.current.place.scale")
    assert painted > 40 * 8
    left, right, further = (page.at("holes-view", x, 60) for x in (60, 90, 110))
    page.page.touch([left], [left, right], [left, further])
    page.until(f"studio.current.place.scale > {1.2 * scale}")
    assert missing(page) == painted, "the first finger of two painted nothing"
    assert page.value("studio.current.mask.past.length") == 1
    page.page.press("z", control=True)
    page.settle()
    assert missing(page) == 0


def test_two_fingers_on_a_sketch_draw_nothing():
    with open_studio(ASSETS / "faces.onnx") as page:
        page.show("sketch")
        before = page.png("studio.current.sheet.png()")
        left, right, further = (page.at("sketch-view", x, 60) for x in (20, 60, 90))
        page.page.touch([left], [left, right], [left, further])
        page.until("!studio.current.place.fitted")
        assert np.array_equal(page.png("studio.current.sheet.png()"), before)
        assert page.value("studio.current.sheet.order.length") == 0
        page.page.press("0")
        page.settle()
        page.page.touch(*([page.at("sketch-view", x, 60)] for x in (20, 60, 90)))
        page.until("studio.current.sheet.order.length === 1")
        assert not np.array_equal(page.png("studio.current.sheet.png()"), before)
