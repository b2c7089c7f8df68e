"""Options and presets of the segmenter's training."""

from dataclasses import dataclass
from typing import Any

from training.data.augmentation import Augmentation, parse_size
from training.networks.segmenter import Architecture
from training.options import WindowOptions, option, require, require_architecture


@dataclass(frozen=True, kw_only=True)
class Options(WindowOptions):
    """Options of the segmenter."""

    label_nc: int = option(35, "classes of the label maps; of Cityscapes' 35 only those that its benchmark counts")
    width: int = option(24, "channels at half resolution")
    n_downsample: int = option(4, "times the image is halved")
    n_blocks: int = option(2, "residual blocks at the lowest resolution")
    norm: str = option("batch", "normalisation: batch, instance or none")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_architecture(lambda: self.architecture)

    @property
    def architecture(self) -> Architecture:
        return Architecture(**{name: getattr(self, name) for name in Architecture.__dataclass_fields__})

    @property
    def augmentation(self) -> Augmentation:
        least = self.architecture.smallest_side
        sizes = {"resize": parse_size(self.resize), "crop": parse_size(self.crop)}
        for name, size in sizes.items():
            require(size is None or min(size) >= least, f"{name} {getattr(self, name)}: sides must be at least {least}")
        return Augmentation(sizes["resize"], self.min_scale, sizes["crop"], self.flip)


PRESETS: dict[str, dict[str, Any]] = {
    # Procedural streets, within a quarter of an hour on two CPU cores.
    "scenes": {
        "min_scale": 0.4,
        "crop": "256x512",
        "batch_size": 4,
        "lr": 1e-3,
        "beta1": 0.9,
        "precision": "auto",
        "epochs": 10,
        "decay_epochs": 10,
        "save_every": 100,
        "sample_every": 100,
    },
    # Real street photos at half of Cityscapes' size.
    "cityscapes": {
        "width": 32,
        "resize": "512x1024",
        "min_scale": 0.6,
        "crop": "256x512",
        "batch_size": 8,
        "lr": 1e-3,
        "beta1": 0.9,
        "epochs": 40,
        "decay_epochs": 40,
    },
    "smoke": {
        "width": 4,
        "n_downsample": 3,
        "n_blocks": 1,
        "resize": "64x128",
        "epochs": 1,
        "decay_epochs": 1,
        "save_every": 2,
        "log_every": 1,
    },
}
