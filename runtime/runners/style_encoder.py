"""Photo and regions in, styles out: the instance encoder of pix2pixHD (section 3.4)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError
from runtime.runners.checks import check_inst_map, engine_size, pad_to
from runtime.runners.examples import BLOCKS, Size, example_image, example_instances, example_size
from runtime.runners.image_checks import check_image
from runtime.runners.instances import find_instances, instance_means
from runtime.runners.runner import Runner

_RGB = 3


class StyleEncoder(Runner):
    """Runs an encoder of photos. See `Runner` for what all runners share."""

    kind = "style_encoder"

    @classmethod
    def example(
        cls, spec: EngineSpec, size: Size | None = None, *, noise: bool = False, seed: int = 0
    ) -> dict[str, NDArray[Any]]:
        """See `Runner.example`: a photo and its regions."""
        size = size or example_size(spec)
        photo = example_image(size, _RGB, noise=noise, seed=seed)
        return {"photo": photo, "regions": example_instances(size, BLOCKS**2)}

    def run(self, photo: ArrayLike, regions: ArrayLike, *, pad: bool = False) -> Any:
        """Measure the style of every region of a photo.

        Args:
            photo: RGB uint8 [H, W, 3] or [N, H, W, 3]. A batch of N equals N single calls.
            regions: integer ids [H, W] or [N, H, W]: the photo's instance map, or its label map.
            pad: extend the photo to the size that the engine takes (last row and column repeated).

        Returns:
            Region id → its mean feature float32 [F], fit for `styles=` of `Synthesizer.run`; of a batch a list of N.

        Raises:
            InputError: an array does not fit the engine or the other array.
            DeviceError: the device fails, for instance for lack of memory.
        """
        images = check_image(photo, _RGB, "photo")
        is_batch = np.ndim(photo) == len("NHWC")
        height, width = images.shape[1:3]
        size = engine_size("photo", (height, width), self.spec, pad)
        ids = check_inst_map(regions, images.shape[:3] if is_batch else (height, width), "regions", "photo")
        styles = [self._measure(pad_to(image, size), own) for image, own in zip(images, ids, strict=True)]
        return styles if is_batch else styles[0]

    def _measure(self, image: NDArray[np.uint8], regions: NDArray[np.int32]) -> dict[int, NDArray[np.float32]]:
        """The styles of one photo uint8 [H, W, 3] at the engine's size; its regions may be smaller."""
        batch, size = self.spec.max_batch or 1, image.shape[:2]
        feat_map = self._engine.run({"image": np.repeat(image[None], batch, axis=0)})["feat_map"]
        if feat_map.ndim != 4 or (len(feat_map), *feat_map.shape[2:]) != (batch, *size):
            raise EngineFormatError(
                f"engine {self._name}: output feat_map has shape {list(feat_map.shape)}, expected [{batch}, F, "
                f"{size[0]}, {size[1]}]: it was tampered with; export it again"
            )
        found = find_instances(regions)
        means = instance_means(feat_map[0, :, : regions.shape[0], : regions.shape[1]], found)
        return dict(zip(found.ids.tolist(), means, strict=True))
