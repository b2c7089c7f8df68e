"""Image in, translated image out: pix2pix, and pix2pixHD without a class table."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.backend import Engine
from runtime.engines.engine import AUTO, EngineFile
from runtime.engines.rendering import render_in_batches, require_output
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from runtime.runners.checks import engine_size
from runtime.runners.derivation import derive_input
from runtime.runners.examples import Size, example_image, example_size
from runtime.runners.image_checks import check_image, check_image_seed, reflect_to
from runtime.runners.runner import Runner


class Translator(Runner):
    """Runs a translator of images. See `Runner` for what all runners share.

    Attributes:
        input_nc: channels of the images it takes.
        output_nc: channels of the images it makes.
    """

    kind = "translator"

    def __init__(
        self, engine: EngineFile | Engine, device: str = AUTO, *, backend: str = AUTO, threads: int | None = None
    ) -> None:
        """Load the engine; arguments and errors as in `runtime.engines.engine.open_engine`."""
        super().__init__(engine, device, backend=backend, threads=threads)
        image, translation = self.spec.tensor("image"), self.spec.tensor("translation")
        self.input_nc, self.output_nc = int(image.shape[3]), int(translation.shape[3])

    @classmethod
    def example(
        cls, spec: EngineSpec, size: Size | None = None, *, noise: bool = False, seed: int = 0
    ) -> dict[str, NDArray[Any]]:
        """See `Runner.example`: an image."""
        return {
            "image": example_image(
                size or example_size(spec), int(spec.tensor("image").shape[3]), noise=noise, seed=seed
            )
        }

    @property
    def is_stochastic(self) -> bool:
        """Whether the engine draws its dropout masks from a seed (the noise z of the paper, section 3.1)."""
        return self.spec.input("seed") is not None

    def derive(self, raw: ArrayLike, number: int = 0) -> NDArray[np.uint8]:
        """The input for `run`, made as training made it; `spec.recipe.derive` says how.

        Args:
            raw: a photo, RGB uint8 [H, W, 3]; class ids, integers [H, W], where the recipe is "labels".
            number: of the picture in its set, which seeds what is random.

        Returns:
            uint8 [H, W, C].

        Raises:
            InputError: the engine has no recipe, or `raw` is something else.
            MissingExtraError: OpenCV is not installed, and lines are to be drawn.
        """
        if self.spec.recipe is None:
            raise InputError(f"engine {self._name} does not say how its inputs were made; give the input itself")
        return derive_input(self.spec.recipe, np.asarray(raw), number)

    def run(self, image: ArrayLike, *, seed: int | None = None) -> NDArray[np.uint8]:
        """Translate an image of any size. Same image, same seed: same bytes.

        An image that is smaller than the engine wants, or no multiple of its step, is extended by reflection at the
        bottom and right; the result is cropped back.

        Args:
            image: uint8 [H, W, C] or [N, H, W, C]; for an engine of one channel also [H, W]. A batch of N equals N
                single calls, except for an engine of any batch size whose normalisation is "batch-stats": it sees the
                whole batch at once.
            seed: 0 to 2³¹ − 1, for a stochastic engine; None for 0. Every image of a batch gets the same.

        Returns:
            uint8 [H, W, Cout] or [N, H, W, Cout], a fresh array.

        Raises:
            InputError: the image or seed does not fit the engine; says how to convert it.
            DeviceError: the device fails, for instance for lack of memory.
        """
        images = check_image(image, self.input_nc)
        size = engine_size("image", (images.shape[1], images.shape[2]), self.spec, pad=True)
        number = check_image_seed(seed, self.is_stochastic)

        def render(part: slice, batch: int) -> NDArray[np.uint8]:
            count, height, width, _ = images[part].shape
            filled = _fill(reflect_to(images[part], size), batch)
            return self._render(filled, number)[:count, :height, :width]

        translations = render_in_batches(render, len(images), self._batch(len(images)))
        return translations if np.ndim(image) == 4 else translations[0]

    def _batch(self, count: int) -> int:
        """See `Runner._batch`; statistics of a whole batch want it whole."""
        return count if self._sees_batch else super()._batch(count)

    @property
    def _sees_batch(self) -> bool:
        return self.spec.max_batch is None and self.spec.normalization == "batch-stats"

    def _render(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """One call of the engine: uint8 [N, H, W, C] at its own batch and size → uint8 [N, H, W, Cout]."""
        inputs: dict[str, NDArray[np.uint8] | NDArray[np.int32]] = {"image": np.ascontiguousarray(images)}
        if self.is_stochastic:
            inputs["seed"] = np.full(len(images), seed, np.int32)
        translation = self._engine.run(inputs)["translation"]
        require_output(self._name, "translation", translation, "uint8", (*images.shape[:3], self.output_nc))
        return translation


def _fill(images: NDArray[np.uint8], batch: int) -> NDArray[np.uint8]:
    """Repeat the last image until there are `batch`."""
    missing = batch - len(images)
    return np.concatenate((images, np.repeat(images[-1:], missing, axis=0))) if missing else images
