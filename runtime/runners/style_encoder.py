"""Photo and regions in, styles out: the instance encoder of pix2pixHD (section 3.4)."""

import os

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.engine import open_engine
from runtime.engines.spec import EngineSpec
from runtime.errors import EngineFormatError
from runtime.runners.checks import check_inst_map, check_photo, engine_size, pad_to
from runtime.runners.instances import find_instances, instance_means


class StyleEncoder:
    """Runs an encoder engine. `run` may be called from several threads.

    Attributes:
        spec: what the engine is.
        device: where it runs: "cpu" or "cuda".
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None) -> None:
        """Load the engine `path`; arguments and errors as in `runtime.engines.engine.open_engine`."""
        self._path = os.fspath(path)
        self._engine = open_engine(self._path, device, kinds=("style_encoder",), threads=threads)
        self.spec: EngineSpec = self._engine.spec
        self.device: str = self._engine.device

    def run(self, photo: ArrayLike, regions: ArrayLike, *, pad: bool = False) -> dict[int, NDArray[np.float32]]:
        """Measure the style of every region of a photo.

        Args:
            photo: RGB uint8 [H, W, 3].
            regions: integer ids [H, W]: the photo's instance map, or its label map.
            pad: extend the photo to the size that the engine takes (last row and column repeated).

        Returns:
            Region id → its mean feature float32 [F], fit for `styles=` of `Synthesizer.run`.

        Raises:
            InputError: an array does not fit the engine or the other array.
            DeviceError: the device fails, for instance for lack of memory.
        """
        image = check_photo(photo)
        height, width = image.shape[:2]
        ids = check_inst_map(regions, (height, width), "regions", "photo")[0]
        size = engine_size("photo", (height, width), self.spec, pad)
        batch = self.spec.max_batch or 1
        padded = np.repeat(pad_to(image, size)[None], batch, axis=0)
        feat_map = self._engine.run({"image": padded})["feat_map"]
        if feat_map.ndim != 4 or (len(feat_map), *feat_map.shape[2:]) != (batch, *size):
            raise EngineFormatError(
                f"engine {self._path}: output feat_map has shape {list(feat_map.shape)}, expected [{batch}, F, "
                f"{size[0]}, {size[1]}]: it was tampered with; export it again"
            )
        found = find_instances(ids)
        means = instance_means(feat_map[0, :, :height, :width], found)
        return dict(zip(found.ids.tolist(), means, strict=True))
