"""The studio in a real browser with the shipped engines, by mouse and keyboard."""

import time

import numpy as np
import pytest
from PIL import Image

import runtime
from runtime.commands import ASSETS
from runtime.media.images import read_image, read_inst_map, read_label_map, read_photo
from tests.browser import CHROMIUM, open_browser
from tests.runtime.requests import get, pixels
from tests.runtime.running import running_studio
from tests.runtime.studio.studio_page import StudioPage

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs Debian's")
WINDOW = (1280, 720)
CAR = 26


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with running_studio(tmp_path_factory.mktemp("studio")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile"), WINDOW) as page:
        yield page


@pytest.fixture
def page(studio, browser):
    """A fresh look at the studio; nothing may have been refused by the end."""
    shown = StudioPage(browser, studio.address)
    yield shown
    assert shown.errors() == []


@pytest.fixture(scope="module")
def street():
    with runtime.Synthesizer(ASSETS / "street.onnx") as synthesizer:
        yield synthesizer


def opened_scene(synthesizer):
    return runtime.Editor(
        synthesizer,
        read_label_map(ASSETS / "street_labels.png", synthesizer.labels),
        read_inst_map(ASSETS / "street_instances.png"),
    )


def paint_car(page):
    """With a brush of 40 pixels, in the empty street."""
    page.page.press("b")
    page.value("studio.pages.scene.brush.value = 40")
    page.drag("labels-view", (700, 720), (760, 722), (820, 720))
    page.rendered()


def test_a_painted_car_shows_in_its_place_and_survives_a_reload(page, studio, street):
    page.show("scene")
    page.rendered()
    before = page.photo()
    start = opened_scene(street)
    assert np.array_equal(page.labels(), start.label_map)
    assert np.array_equal(before, start.render()), "the page shows the library's bytes"
    paint_car(page)
    labels, after = page.labels(), page.photo()
    assert set(labels[720, 690:830]) == {CAR}
    changed = labels != start.label_map
    assert set(labels[changed]) == {CAR}, "no class in between"
    difference = np.abs(after.astype(int) - before).max(axis=2)
    assert difference[700:740, 690:830].mean() > 20
    assert difference[:200].mean() < 1, "far away all is as it was"
    reloaded = StudioPage(page.page, studio.address)
    reloaded.rendered()
    assert np.array_equal(reloaded.labels(), labels)
    assert np.array_equal(reloaded.photo(), after)


def test_restyle_by_a_small_picture_and_undo_with_the_keyboard(page, street):
    page.show("scene")
    page.rendered()
    if page.labels()[720, 760] != CAR:
        paint_car(page)
    painted = page.photo()
    page.page.press("s")
    page.drag("labels-view", (760, 720))
    page.until("document.querySelectorAll('#swatches canvas').length === 10")
    assert "car #26" in page.value("document.querySelector('#selected-name').textContent")
    chosen = page.value("Number(document.querySelector('#swatches canvas.on').dataset.style)")
    page.page.click(f"#swatches canvas[data-style='{(chosen + 4) % 10}']")
    page.rendered()
    restyled = page.photo()
    assert np.abs(restyled.astype(int) - painted)[700:740, 700:820].mean() > 5
    page.page.press("z", control=True)
    page.page.press("z", control=True)
    page.until("document.querySelector('[data-act=undo]').disabled")
    page.rendered()
    start = opened_scene(street)
    assert np.array_equal(page.labels(), start.label_map)
    assert np.array_equal(page.photo(), start.render())


def test_a_part_stays_with_what_it_is_painted_on(page, street):
    page.show("scene")
    page.choose("car")
    paint_car(page)
    page.choose("glass")
    page.value("studio.pages.scene.brush.value = 12")
    page.drag("labels-view", (740, 720), (780, 721))
    page.rendered()
    glass = street.labels.names.index("glass")
    assert page.labels()[720, 760] == glass
    page.page.press("s")
    page.drag("labels-view", (760, 720))
    page.until("document.querySelector('#selected-name').textContent.startsWith('car #')")
    page.page.press("m")
    page.drag("labels-view", (760, 720), (760, 820))
    page.rendered()
    moved = page.labels()
    assert moved[820, 760] == glass
    assert moved[820, 710] == CAR
    assert moved[720, 760] not in (glass, CAR)
    for _ in range(3):
        page.page.press("z", control=True)
    page.until("document.querySelector('[data-act=undo]').disabled")
    page.rendered()
    assert np.array_equal(page.labels(), opened_scene(street).label_map)
    page.choose("car")


def test_tools_by_keyboard_and_the_palette_by_search(page):
    page.show("scene")
    page.rendered()
    page.page.click("#class-search")
    page.page.type("traffic l")
    assert page.value("[...document.querySelectorAll('#palette button')].filter((one) => !one.hidden).length") == 1
    page.page.press("Enter")
    assert page.value("studio.pages.scene.scene.classes[studio.pages.scene.palette.chosen].name") == "traffic light"
    page.page.press("r")
    page.drag("photo-view", (600, 850), (640, 880))
    page.until("studio.pages.scene.labels[870 * 2048 + 620] === 19")
    page.page.press("i")
    page.drag("labels-view", (1000, 900))
    assert page.value("studio.pages.scene.scene.classes[studio.pages.scene.palette.chosen].name") == "road"
    page.page.press("p")
    for corner in ((590, 840), (650, 840), (650, 890), (590, 890)):
        page.drag("labels-view", corner)
    page.page.press("Enter")
    page.until("studio.pages.scene.labels[870 * 2048 + 620] === 7")
    page.page.hover(page.at("labels-view", 1000, 900))
    assert page.value("document.querySelector('#hover').textContent").startswith("road · x 1000, y 900")
    scale = page.value("studio.current.place.scale")
    page.page.wheel(page.at("labels-view", 1000, 900), -300)
    page.until(f"studio.current.place.scale > {scale}")
    page.page.press("0")
    page.page.press("v")
    page.until("document.getElementById('photo-view').hidden")
    page.page.press("v")
    page.page.press("?")
    page.until("document.getElementById('shortcuts').open")
    page.page.click("#close-help")
    for _ in range(2):
        page.page.press("z", control=True)
    page.until("document.querySelector('[data-act=undo]').disabled")
    page.rendered()


def test_a_file_is_opened_saved_and_compared(page, studio, street, tmp_path):
    page.show("scene")
    page.rendered()
    labels = read_label_map(ASSETS / "street_labels.png", street.labels)[:, ::-1]
    ids = read_inst_map(ASSETS / "street_instances.png")[:, ::-1]
    Image.fromarray(labels).save(tmp_path / "mirrored_labelIds.png")
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "mirrored_instanceIds.png")
    page.value("void studio.current.act('open')")
    page.page.choose_files("#file", [tmp_path / "mirrored_labelIds.png", tmp_path / "mirrored_instanceIds.png"])
    page.until("document.querySelector('#notice').textContent.startsWith('opened')")
    page.rendered()
    session = page.value("studio.pages.scene.scene.session")
    saved = {
        name: pixels(get(studio, f"/api/scene/{session}/{name}.png")[2]) for name in ("labels", "instances", "photo")
    }
    assert np.array_equal(saved["labels"], labels)
    assert np.array_equal(saved["instances"], ids)
    assert np.array_equal(saved["photo"], street.run(labels, ids))


def test_a_hole_is_filled_and_the_mask_stays(page):
    page.show("holes")
    page.page.click("#holes [data-act=clear]")
    page.drag("holes-view", (200, 200), (260, 230), (300, 300))
    page.page.click("#holes [data-act=grow]")
    page.page.click("#holes [data-act=fill]")
    page.until("studio.pages.holes.filled === 1")
    mask, filled = page.png("studio.current.maskFile()"), page.png("studio.current.resultFile")
    photo = read_photo(ASSETS / "inpaint_photo.jpg")
    missing = mask[..., :3].max(axis=2)
    assert 1000 < (missing > 0).sum() < 20_000
    with runtime.Inpainter(ASSETS / "inpaint.onnx") as inpainter:
        assert np.array_equal(filled, inpainter.run(photo, missing, feather=2))
    page.page.click("#holes [data-act=undo]")
    assert (page.png("studio.current.maskFile()")[..., 0] > 0).sum() < (missing > 0).sum()
    page.page.click("#holes [data-act=redo]")
    assert np.array_equal(page.png("studio.current.maskFile()"), mask)
    page.until("studio.current.isKept")
    again = StudioPage(page.page, page.value("location.href"))
    again.show("holes")
    assert np.array_equal(again.png("studio.current.maskFile()"), mask)
    assert again.value("studio.current.result !== null")


def test_a_sketch_is_completed_while_one_watches(page):
    page.show("sketch")
    page.page.click("#sketch [data-act=example]")
    page.value("studio.current.steps.value = 40")
    page.page.click("#sketch [data-act=search]")
    page.until("studio.current.losses.length > 1")
    page.until("studio.current.isDone && !studio.current.isRunning")
    drawing = page.png("studio.current.sheet.png()")
    with runtime.SketchCompleter(ASSETS / "faces.onnx") as completer:
        assert np.array_equal(page.png("studio.current.file"), completer.run(drawing, iterations=40))


def test_a_search_is_stopped_or_left_by_a_reload(page, studio):
    page.show("sketch")
    page.value("studio.current.steps.value = 1000; studio.current.restarts.value = 6")
    page.page.click("#sketch [data-act=search]")
    page.until("studio.current.losses.length > 3")
    page.page.click("#sketch [data-act=stop]")
    page.until("studio.current.isDone && !studio.current.isRunning")
    page.until("studio.current.isKept")
    kept = page.png("studio.current.file")
    page.page.click("#sketch [data-act=search]")
    page.until("studio.current.losses.length > 3")
    again = StudioPage(page.page, studio.address)
    again.show("sketch")
    assert np.array_equal(again.png("studio.current.file"), kept)
    again.value("studio.current.steps.value = 20; studio.current.restarts.value = 1")
    again.page.click("#sketch [data-act=search]")
    again.until("studio.current.isDone")


def test_a_drawing_is_translated_while_it_is_drawn(page):
    page.show("translate")
    page.page.click("#translate [data-act=example]")
    page.until("studio.current.result && !studio.current.busy")
    with runtime.Translator(ASSETS / "edges2photo.onnx") as translator:
        example = read_image(ASSETS / "edges2photo_input.png", 1).pixels
        first = page.png("studio.current.file")
        assert np.array_equal(first, translator.run(example))
        page.drag("drawing-view", (300, 380), (500, 380), (500, 440), (300, 440), (300, 380))
        page.until("studio.current.isKept && !studio.current.busy")
        drawn = read_drawing_of(page)
        assert not np.array_equal(drawn, example)
        assert np.array_equal(page.png("studio.current.file"), translator.run(drawn))
    page.page.press("z", control=True)
    page.until("!studio.current.busy && studio.current.sheet.order.length === 0")
    assert np.array_equal(page.png("studio.current.file"), first)


def read_drawing_of(page):
    picture = Image.fromarray(page.png("studio.current.sheet.png()")).convert("RGB").convert("L")
    return np.asarray(picture)[..., None]


def test_two_pages_a_closed_tab_and_a_stopped_server(browser, tmp_path, street):
    with running_studio(tmp_path, ASSETS / "street.onnx") as first:
        page = StudioPage(browser, first.address)
        page.rendered()
        other = StudioPage(browser.browser.new_page(), first.address)
        assert other.value("studio.pages.scene.scene.session") == page.value("studio.pages.scene.scene.session")
        other.value("studio.pages.scene.ask({ op: 'shuffle', seed: 5 })")
        other.page.close()  # in mid-render
        page.page.bring_to_front()
        page.rendered()
        paint_car(page)
        page.rendered()
        page.until("studio.pages.scene.isKept")
        labels, photo = page.labels(), page.photo()
        page.value("studio.pages.scene.ask({ op: 'shuffle', seed: 6 })")
        page.until("studio.pages.scene.isKept")
        errors = first.interrupt()  # in mid-render
        assert "Traceback" not in errors
        port = first.port
    with running_studio(tmp_path, ASSETS / "street.onnx", "--port", str(port)) as second:
        assert second.port == port
        page.until("studio.pages.scene.socket.readyState === 1 && studio.pages.scene.labels[720 * 2048 + 760] === 26")
        page.page.press("z", control=True)
        page.rendered()
        assert np.array_equal(page.labels(), labels)
        # What was asked for while the page was still being told of the new session shows one rendering later.
        until = time.monotonic() + 60
        while not np.array_equal(page.photo(), photo):
            assert time.monotonic() < until, "the photo of before never came back"
            time.sleep(0.2)
        assert all("the server has gone" in error for error in page.errors())
