"""python -m tests.runtime.studio.measure: the time from the end of a stroke to its picture, measured in the browser.

Beside it what the engine took of it, and how long the page let a person wait meanwhile: the longest gap between two
frames while the engine ran.
"""

import statistics
import time

from tests.runtime.studio.studio_page import open_studio

_STROKES = 7
_GAPS = """
window.gaps = [];
(function frame(last) { requestAnimationFrame((now) => { gaps.push(now - last); frame(now); }); })(performance.now());
"""


def main() -> None:
    with open_studio() as page:
        page.show("scene")
        page.rendered()
        page.page.press("b")
        page.value(_GAPS)
        for number in range(_STROKES):
            page.value("gaps.length = 0")
            page.drag("labels-view", (700 + 40 * number, 720), (740 + 40 * number, 722))
            page.rendered()
            time.sleep(0.3)
        timings = page.value("studio.pages.scene.timings")[1:]
        gaps = page.value("gaps")
    strokes, engine = ([one[name] for one in timings] for name in ("ms", "engine"))
    overhead = [stroke - own for stroke, own in zip(strokes, engine, strict=True)]
    print(f"stroke to picture, median of {len(timings)}: {statistics.median(strokes):.0f} ms")
    print(f"the engine's part: {statistics.median(engine):.0f} ms; beside it: {statistics.median(overhead):.0f} ms")
    print(f"longest gap between two frames of the last stroke: {max(gaps):.0f} ms")


if __name__ == "__main__":
    main()
