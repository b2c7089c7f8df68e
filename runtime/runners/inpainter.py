"""Image and hole in, completed image out: Infer, Match, Translate; and regions repainted in the style of an image."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.backend import Engine
from runtime.engines.engine import AUTO, EngineFile
from runtime.engines.rendering import render_in_batches, require_output
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from runtime.runners.checks import engine_size
from runtime.runners.examples import Size, example_image, example_size, middle_hole
from runtime.runners.holes import Mask, check_hole_mask, check_margin, opacity
from runtime.runners.image_checks import check_image
from runtime.runners.resampling import resample, to_bytes
from runtime.runners.runner import Notify, Runner, ignore
from runtime.runners.windows import STRATEGIES, Plan, Strategy, Window, cut, paste, plan_windows

Image = NDArray[np.uint8]
_RGB = 3
_PATCH = 12  # pixels under a patch of 3×3 features, each of 4×4 pixels


class Inpainter(Runner):
    """Runs an inpainter. See `Runner` for what all runners share.

    Attributes:
        window: (H, W) of what it sees at once; an engine of any size sees images up to this at their own size.
    """

    kind = "inpainter"

    def __init__(
        self, engine: EngineFile | Engine, device: str = AUTO, *, backend: str = AUTO, threads: int | None = None
    ) -> None:
        """Load the engine; arguments and errors as in `runtime.engines.engine.open_engine`."""
        super().__init__(engine, device, backend=backend, threads=threads)
        self.window: tuple[int, int] = self.spec.size or engine_size("image", self.spec.cost.size, self.spec, pad=True)

    @classmethod
    def example(
        cls, spec: EngineSpec, size: Size | None = None, *, noise: bool = False, seed: int = 0
    ) -> dict[str, NDArray[Any]]:
        """See `Runner.example`: an image with a hole in its middle, and where the engine uses one a style."""
        size = size or example_size(spec)
        image = example_image(size, _RGB, noise=noise, seed=seed)
        arrays = {"image": image, "hole_mask": middle_hole(size)}
        return arrays | ({"style": image[::-1].copy()} if spec.input("style_image") else {})

    @property
    def uses_style(self) -> bool:
        """Whether the engine repaints in the style of another image (`python -m export onnx --style-transfer`)."""
        return self.spec.input("style_image") is not None

    def run(
        self,
        image: ArrayLike,
        hole_mask: ArrayLike | None = None,
        *,
        style: ArrayLike | None = None,
        strategy: Strategy = "auto",
        dilate: int = 0,
        feather: int = 0,
        notify: Notify | None = None,
    ) -> Image:
        """Complete an image of any size. Same input, same options: same bytes.

        Pixels farther than max(dilate, feather) from every marked one come back as they are, bit for bit, whatever the
        strategy. What lies in a hole has no influence.

        Args:
            image: uint8 [H, W, 3] or [N, H, W, 3]. A batch of N equals N single calls.
            hole_mask: bool or uint8 [H, W] or [N, H, W]; not zero = missing, or to be repainted. An engine with style
                repaints everything where there is none.
            style: uint8 [h, w, 3] of any size, for an engine that uses it: scaled to cover the engine's size.
            strategy: how an image comes to the engine's size.
                "crop": windows about the holes, at full resolution. "resize": the whole image scaled. "pad": the whole
                image, extended by reflection. "auto": "pad" where it fits, else "crop", and a larger window, scaled
                down, for a hole that leaves "crop" too little context.
            dilate: pixels that every hole grows by, in rows and columns: covers the soft border of what is removed.
            feather: pixels at the border of the grown hole over which the completion fades into the image; a hole grows
                by at least so much, thus nothing that was marked shows.
            notify: called with a sentence where nothing is missing, or a hole was completed at a lower resolution.

        Returns:
            uint8 of the image's shape, a fresh array.

        Raises:
            InputError: an argument does not fit, nothing is known, or a hole is too large for the strategy; says what
                to do.
            DeviceError: the device fails, for instance for lack of memory.
        """
        images = check_image(image, _RGB)
        is_batch = np.ndim(image) == len("NHWC")
        if strategy not in STRATEGIES:
            raise InputError(f"strategy is {strategy!r}, expected one of {', '.join(STRATEGIES)}")
        feather = check_margin(feather, "feather")
        margin = max(check_margin(dilate, "dilate"), feather)
        style_image = self._check_style(style)
        masks = self._check_mask(hole_mask, images.shape if is_batch else images.shape[1:])
        results = []
        for number, (picture, mask) in enumerate(zip(images, masks, strict=True)):
            name = f"image {number}" if is_batch else "image"
            alpha = opacity(mask, margin, feather)
            results.append(self._complete(picture, alpha, style_image, strategy, name, notify or ignore))
        return np.stack(results) if is_batch else results[0]

    def _check_style(self, style: ArrayLike | None) -> Image | None:
        if (style is not None) != self.uses_style:
            raise InputError(
                "style is missing, but this engine repaints in the style of an image; give one"
                if self.uses_style
                else "style is given, but this engine only completes; export one with `python -m export onnx "
                "--style-transfer`"
            )
        if style is None:
            return None
        pictures = check_image(style, _RGB, "style")
        if len(pictures) != 1:
            raise InputError(f"style has {len(pictures)} images, expected one: uint8 [H, W, 3]")
        picture: Image = pictures[0]
        return picture

    def _check_mask(self, hole_mask: ArrayLike | None, shape: tuple[int, ...]) -> Mask:
        """bool [N, H, W] for an image of `shape`, the caller's; without a mask everything is repainted."""
        if hole_mask is None:
            if not self.uses_style:
                raise InputError(f"hole_mask is missing; give uint8 or bool {list(shape[:-1])}, not zero = missing")
            hole_mask = np.ones(shape[:-1], np.bool_)
        return check_hole_mask(hole_mask, shape)

    def _complete(
        self,
        image: Image,
        alpha: NDArray[np.float32],
        style: Image | None,
        strategy: Strategy,
        name: str,
        notify: Notify,
    ) -> Image:
        """One image, uint8 [H, W, 3], whose pixels are replaced as far as `alpha` [H, W] says."""
        hole = alpha > 0
        completed = image.copy()
        if not hole.any():
            notify(f"hole_mask is 0 everywhere: nothing is missing, {name} was returned as it is")
            return completed
        if style is None:
            _require_context(hole, name)
        size, plan = self._plan(hole, strategy)
        windows = [cut(image, hole, window, size, show_hole=style is not None) for window in plan.windows]
        for window, (_, missing) in zip(plan.windows, windows, strict=True):
            if style is None and missing.all():
                raise _no_context(window, size)
            if window.height > size[0]:
                notify(f"{name}: a hole was completed at 1/{window.height / size[0]:.1f} of its resolution")
        answers = self._render_all(windows, _covering(style, size) if style is not None else None)
        for number, (window, answer) in enumerate(zip(plan.windows, answers, strict=True)):
            paste(completed, answer, window, number, plan.owner)
        return _blended(image, completed, alpha)

    def _plan(self, hole: Mask, strategy: Strategy) -> tuple[tuple[int, int], Plan]:
        """The size at which the engine runs, and its windows."""
        height, width = hole.shape
        fits = height <= self.window[0] and width <= self.window[1]
        if strategy == "auto" and fits:
            strategy = "pad"
        is_own_size = strategy == "pad" and self.spec.size is None
        size = engine_size("image", (height, width), self.spec, pad=True) if is_own_size else self.window
        return size, plan_windows(hole, size, strategy)

    def _render_all(self, windows: list[tuple[Image, Mask]], style: Image | None) -> Image:
        images = np.stack([image for image, _ in windows])
        masks = np.stack([missing for _, missing in windows]).astype(np.uint8)

        def render(part: slice, batch: int) -> Image:
            count = len(images[part])
            repeat = np.minimum(np.arange(batch), count - 1)
            return self._render(images[part][repeat], masks[part][repeat], style)[:count]

        return render_in_batches(render, len(images), self._batch(len(images)))

    def _render(self, images: Image, masks: Image, style: Image | None) -> Image:
        """One call of the engine: uint8 [N, H, W, 3] and [N, H, W], 1 = missing → uint8 [N, H, W, 3]."""
        inputs = {"image": np.ascontiguousarray(images), "hole_mask": np.ascontiguousarray(masks)}
        if style is not None:
            inputs["style_image"] = np.repeat(style[None], len(images), axis=0)
        completed = self._engine.run(inputs)["completed"]
        require_output(self._name, "completed", completed, "uint8", images.shape)
        return completed


def _require_context(hole: Mask, name: str) -> None:
    height, width = hole.shape
    if min(height, width) < _PATCH:
        raise InputError(
            f"{name} is H×W = {height}×{width}, smaller than one patch of {_PATCH}×{_PATCH} pixels, so nothing can be "
            "matched; enlarge it, or give a larger part of the picture"
        )
    if hole.all():
        raise InputError(
            f"hole_mask marks every pixel of {name} as missing (with dilate and feather): no context is left to "
            "complete it from; mark less, and mind that not zero means missing (--invert-mask)"
        )


def _no_context(window: Window, size: tuple[int, int]) -> InputError:
    advice = "pass strategy='resize' or 'auto' (--strategy), mark less" if window.height <= size[0] else "mark less"
    return InputError(
        f"holes fill a whole window of H×W = {window.height}×{window.width} at this engine's {size[0]}×{size[1]}: no "
        f"context is left in it; {advice}, or export a larger engine"
    )


def _covering(style: Image, size: tuple[int, int]) -> Image:
    """The largest part of the style's middle that has the engine's proportions, at its size."""
    scale = min(style.shape[0] / size[0], style.shape[1] / size[1])
    height, width = (min(side, max(1, round(scale * engine))) for side, engine in zip(style.shape, size, strict=False))
    top, left = (style.shape[0] - height) // 2, (style.shape[1] - width) // 2
    middle = style[top : top + height, left : left + width].astype(np.float32)
    return to_bytes(resample(middle, size))


def _blended(image: Image, completed: Image, alpha: NDArray[np.float32]) -> Image:
    """`completed`, which equals `image` where alpha is 0, faded into it where alpha is below 1."""
    fades = (alpha > 0) & (alpha < 1)
    if fades.any():
        weight = alpha[fades, None]
        mixed = weight * completed[fades] + (1 - weight) * image[fades]
        completed[fades] = to_bytes(mixed)
    return completed
