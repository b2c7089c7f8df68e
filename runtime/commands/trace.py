"""The picture of a search: intermediate images above, loss curves below."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from runtime.runners.search import Completion, Step

_WIDTH, _PLOT_HEIGHT, _MARGIN = 960, 300, 44
_COLUMNS = 4
_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)  # of all iterations, after which an image is kept
_INK, _PALE = (40, 40, 40), (205, 205, 205)
_COLOURS = ((31, 119, 180), (214, 90, 40), (44, 140, 60), (150, 80, 170), (180, 140, 20), (90, 90, 90))


class Trace:
    """Collects what `draw` shows.

    Args:
        iterations: most steps that there will be.
    """

    def __init__(self, iterations: int) -> None:
        self._wanted = {round(share * iterations) for share in _SHARES}
        self._images: list[tuple[int, NDArray[np.uint8]]] = []

    def add(self, step: Step) -> None:
        if step.iteration in self._wanted:
            self._images.append((step.iteration, step.image()))

    def draw(self, completion: Completion, result: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture, RGB uint8 [height, 960, 3]: G(z) after some steps, then `result`; contextual loss by step."""
        last = len(completion.contextual_loss) - 1
        shown = [(f"step {number}", image) for number, image in self._images if number <= last]
        shown.append((f"result (step {completion.iteration})", result))
        width = _WIDTH // _COLUMNS
        height = width // 2 + 18
        rows = -(-len(shown) // _COLUMNS)
        picture = Image.new("RGB", (_WIDTH, rows * height + _PLOT_HEIGHT), "white")
        pen = ImageDraw.Draw(picture)
        for index, (title, image) in enumerate(shown):
            left, top = index % _COLUMNS * width, index // _COLUMNS * height
            tile = Image.fromarray(image).resize((width - 8, (width - 8) // 2), Image.Resampling.NEAREST)
            picture.paste(tile, (left + 4, top + 16))
            pen.text((left + 6, top + 2), title, _INK)
        _plot(pen, rows * height, completion)
        return np.asarray(picture)


def _plot(pen: ImageDraw.ImageDraw, top: int, completion: Completion) -> None:
    curves = completion.contextual_loss
    low, high = float(np.nanmin(curves)), float(np.nanmax(curves))
    span = max(high - low, 1e-9)
    left, right = 2 * _MARGIN, _WIDTH - _MARGIN // 2
    above, below = top + _MARGIN // 2, top + _PLOT_HEIGHT - _MARGIN
    steps = max(len(curves) - 1, 1)

    def position(step: int, loss: float) -> tuple[float, float]:
        return left + (right - left) * step / steps, below - (below - above) * (loss - low) / span

    for part in range(5):
        loss, step = low + span * part / 4, round(steps * part / 4)
        pen.line([position(0, loss), position(steps, loss)], _PALE)
        pen.text((8, position(0, loss)[1] - 6), f"{loss:.4f}", _INK)
        pen.text((position(step, low)[0] - 8, below + 6), str(step), _INK)
    pen.text((left, below + 22), "contextual loss by step, one line a restart; the dot is the result", _INK)
    for restart in range(curves.shape[1]):
        points = [position(step, float(loss)) for step, loss in enumerate(curves[:, restart]) if np.isfinite(loss)]
        pen.line(points, _COLOURS[restart % len(_COLOURS)], 2)
    x, y = position(completion.iteration, float(curves[completion.iteration, completion.restart]))
    pen.ellipse([x - 4, y - 4, x + 4, y + 4], _INK)
