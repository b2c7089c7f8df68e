"""The real/fake page, answered in a real browser."""

import base64
import json
import time
from math import sqrt

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.browser import CHROMIUM, open_browser
from training.__main__ import app
from training.evaluation.judge import PAGE, JudgePage
from training.system import HeldOut

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs Debian's")
REAL, FAKE = 200, 60  # every pixel of the real and of the generated images


def held_out(name):
    photo = np.full((48, 64, 3), REAL, np.uint8)
    return HeldOut(name, photo, np.full_like(photo, FAKE), photo)


@pytest.fixture
def page_of(tmp_path):
    def write(names):
        judge = JudgePage(tmp_path)
        for name in names:
            judge.add(held_out(name))
        return judge.write("a test")

    return write


@pytest.fixture
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def real_files(folder):
    return {f"judge/{path.name}" for path in (folder / "judge").iterdir() if np.array(Image.open(path)).mean() == REAL}


def study(path):
    text = path.read_text()
    return json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])


def test_files_are_lossless_and_do_not_tell_which_is_real(page_of, tmp_path):
    path = page_of([f"scene_{n}" for n in range(16)])
    pairs = study(path)["pairs"]
    real = real_files(tmp_path)
    assert len(real) == 16
    assert {np.array(Image.open(path)).mean() for path in (tmp_path / "judge").iterdir()} == {REAL, FAKE}
    positions = [pair["images"].index(next(iter(real & set(pair["images"])))) for pair in pairs]
    assert set(positions) == {0, 1}, "the real one is first or second"
    assert [int(base64.b64decode(pair["key"])[-1:]) for pair in pairs] == positions
    assert not any(word in path.read_text().partition("<script id")[2] for word in ("generated.png", "real.png"))


def test_a_name_cannot_end_the_script(page_of):
    path = page_of(["</script><b>", "plain"])
    assert "</script><b>" not in path.read_text()
    assert study(path)["pairs"][0]["name"] == "</script><b>"


@needs_browser
def test_all_right_by_mouse(page_of, browser, tmp_path):
    """Choosing the real one every time: nothing generated is labelled real."""
    browser.open(page_of([f"scene_{n}" for n in range(8)]))
    real = real_files(tmp_path)
    assert browser.evaluate("document.getElementById('practice').value") == "2"
    browser.evaluate("document.getElementById('seconds').value = '0'")
    browser.click("#begin")
    for number in range(8):
        browser.wait_for(f"current === {number} && waiting === answer")
        browser.click("#left" if shown_left(browser) in real else "#right")
        if number < 2:
            browser.wait_for("document.getElementById('feedback').textContent.startsWith('Right.')")
            browser.click("#next")
    browser.wait_for("!document.getElementById('end').hidden")
    assert browser.evaluate("document.getElementById('labelled-real').textContent") == "0.0 %"
    answers = browser.evaluate("answers")
    assert [answer["practice"] for answer in answers] == [True] * 2 + [False] * 6
    assert all(answer["correct"] for answer in answers)
    assert {answer["item"] for answer in answers} == {f"scene_{n}" for n in range(8)}
    assert browser.evaluate("totals()")["trials"] == 6


@needs_browser
def test_always_left_by_keyboard_for_a_limited_time(page_of, browser, tmp_path):
    """Sides are drawn anew, images go after the time, totals and the saved answers agree."""
    browser.open(page_of([f"scene_{n}" for n in range(6)]))
    real = real_files(tmp_path)
    downloads = tmp_path / "downloads"
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    browser.evaluate("document.getElementById('seconds').value = '1'; document.getElementById('practice').value = '0'")
    browser.click("#begin")
    fooled = 0
    for number in range(6):
        browser.wait_for(f"current === {number} && waiting === answer")
        visibility = "getComputedStyle(document.querySelector('#left img')).visibility"
        if number == 0:
            assert browser.evaluate(visibility) == "visible"
            browser.wait_for(f"{visibility} === 'hidden'")
        fooled += shown_left(browser) not in real
        browser.press("ArrowLeft")
    browser.wait_for("!document.getElementById('end').hidden")
    assert browser.evaluate("document.getElementById('labelled-real').textContent") == f"{100 * fooled / 6:.1f} %"
    browser.click("#download")
    saved = wait_for_file(downloads / "answers.json")
    assert saved["study"] == "a test"
    assert (saved["trials"], saved["labelled_real"]) == (6, fooled)
    assert saved["interval_95"] == pytest.approx(wilson(fooled, 6), abs=1e-6)
    assert [answer["chosen_side"] for answer in saved["answers"]] == ["left"] * 6
    assert sum(answer["real_side"] == "right" for answer in saved["answers"]) == fooled
    assert saved["answers"][0]["milliseconds"] >= 900


@needs_browser
def test_a_mistake_in_practice_is_told_and_does_not_count(page_of, browser, tmp_path):
    browser.open(page_of([f"scene_{n}" for n in range(4)]))
    real = real_files(tmp_path)
    browser.click("#begin")
    browser.wait_for("waiting === answer")
    is_left = shown_left(browser) in real
    browser.press("ArrowRight" if is_left else "ArrowLeft")
    browser.wait_for("document.getElementById('feedback').textContent.startsWith('No')")
    assert browser.evaluate("document.querySelector('.choice.real').id") == ("left" if is_left else "right")
    browser.press("Enter")
    browser.wait_for("current === 1 && waiting === answer")
    assert browser.evaluate("answers.filter((a) => !a.practice).length") == 0


def shown_left(browser):
    return browser.evaluate("document.querySelector('#left img').getAttribute('src')")


def wait_for_file(path):
    deadline = time.monotonic() + 30
    while not path.is_file():
        assert time.monotonic() < deadline, f"{path.name} was not saved"
        time.sleep(0.05)
    return json.loads(path.read_text())


def wilson(k, n, z=1.959964):
    """The two solutions p of |k/n − p| = z √(p (1 − p) / n), Wilson's own definition."""
    a, b, c = 1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2
    root = sqrt(b * b - 4 * a * c)
    return [(-b - root) / (2 * a), (-b + root) / (2 * a)]


def test_the_page_asks_for_nothing_outside_itself(page_of):
    text = page_of(["one"]).read_text()
    assert PAGE == "judge.html"
    assert not any(word in text for word in ("http://", "https://", "@import", "fetch(", "<link"))


def test_a_page_needs_a_folder(tmp_path):
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "c.safetensors"), "--data", str(tmp_path), "--page"])
    assert result.exit_code == 2
    assert "-o FOLDER" in result.stderr
