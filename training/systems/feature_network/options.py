"""Options and presets of the feature network's training."""

from dataclasses import dataclass
from typing import Any

from training.data.augmentation import Augmentation, parse_size
from training.networks.feature_network import Architecture
from training.options import WindowOptions, option, require, require_architecture


@dataclass(frozen=True, kw_only=True)
class Options(WindowOptions):
    """Options of the feature network."""

    batch_size: int = option(8, "photos per step and process")
    epochs: int = option(20, "passes over the data at the full learning rate")
    decay_epochs: int = option(20, "further passes while the learning rate falls linearly to zero")
    lr: float = option(1e-3, "learning rate of Adam")
    beta1: float = option(0.9, "first momentum of Adam")
    crop: str = option("128x128", "HEIGHTxWIDTH of a random window; empty takes the whole image")
    widths: str = option("16,32,64", "channels at full, half and quarter resolution; VGG19's are 64,128,256")
    noise: float = option(0.3, "most noise on a photo: standard deviation, in units of half the range of values")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.noise >= 0, f"noise is {self.noise}, expected 0 or more")
        require_architecture(lambda: self.architecture)

    @property
    def architecture(self) -> Architecture:
        return Architecture(parse_widths(self.widths, "widths"))

    @property
    def augmentation(self) -> Augmentation:
        sizes = {"resize": parse_size(self.resize), "crop": parse_size(self.crop)}
        multiple = self.architecture.size_multiple
        for name, size in sizes.items():
            fits = size is None or all(side % multiple == 0 for side in size) or (name == "resize" and self.crop)
            require(bool(fits), f"{name} {getattr(self, name)}: sides must be multiples of {multiple}")
        return Augmentation(min_scale=self.min_scale, flip=self.flip, multiple=multiple, **sizes)


def parse_widths(text: str, name: str) -> tuple[int, int, int]:
    """ "16,32,64" → (16, 32, 64).

    Raises:
        TrainingError: the option called `name` holds something else.
    """
    parts = [part.strip() for part in text.split(",")]
    fits = len(parts) == 3 and all(part.isdecimal() for part in parts)
    require(fits, f"{name} is {text!r}, expected three integers such as 16,32,64")
    return int(parts[0]), int(parts[1]), int(parts[2])


PRESETS: dict[str, dict[str, Any]] = {
    # For the inpainter that ships: any few thousand photos or textures, minutes on one CPU core.
    "demo": {
        "min_scale": 0.25,
        "precision": "auto",
        "epochs": 4,
        "decay_epochs": 4,
        "save_every": 200,
        "sample_every": 200,
    },
    "smoke": {
        "widths": "4,4,8",
        "resize": "32x32",
        "crop": "16x16",
        "batch_size": 2,
        "epochs": 1,
        "decay_epochs": 1,
        "save_every": 2,
        "log_every": 1,
    },
}
