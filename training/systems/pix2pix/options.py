"""Options and presets of pix2pix training; a preset is a task of the paper with its published settings."""

from dataclasses import dataclass
from typing import Any

from training.data.augmentation import Augmentation, parse_size
from training.data.paired import DERIVATIONS, DIRECTIONS
from training.losses import GAN_MODES
from training.networks.patchgan import PATCH_LAYERS
from training.networks.pix2pix import Architecture
from training.options import WindowOptions, option, require, require_architecture

# Section 4.1: which terms of equation 4 are there, and whether D sees the input.
OBJECTIVES = ("l1", "gan", "cgan", "l1+gan", "l1+cgan")
_CHOICES: dict[str, tuple[Any, ...]] = {
    "derive": DERIVATIONS,
    "direction": DIRECTIONS,
    "input_nc": (1, 3),
    "output_nc": (1, 3),
    "objective": OBJECTIVES,
    "gan_mode": GAN_MODES,
    "patch_size": tuple(PATCH_LAYERS),
}
_PAPERS_DROPOUT = 3  # the innermost decoder blocks, appendix 6.1.1


@dataclass(frozen=True, kw_only=True)
class Options(WindowOptions):
    """Options of pix2pix; defaults are the paper's."""

    derive: str = option("", f"make inputs from photos: {', '.join(filter(None, DERIVATIONS))}; empty reads pairs")
    direction: str = option("AtoB", "AtoB, or BtoA to swap input and output")
    input_nc: int = option(3, "channels of the input: 3 or 1")
    output_nc: int = option(3, "channels of the output: 3 or 1")
    generator: str = option("unet", "unet or resnet")
    ngf: int = option(64, "width of the generator's first layer")
    n_downsample: int = option(8, "times the image is halved: 8 for the U-Net at 256×256, 2 for the ResNet")
    n_blocks: int = option(9, "residual blocks of the ResNet")
    use_skips: bool = option(True, "U-Net; without skips it is the encoder-decoder")
    norm: str = option("batch", "normalisation of both networks: batch, instance or none")
    dropout: bool = option(True, "the noise z: U-Net in the three innermost decoder blocks, ResNet in every block")
    upsampling: str = option("transposed", "ResNet: transposed convolutions or bilinear resizing")
    patch_size: int = option(70, f"pixels a side that the discriminator judges: {', '.join(map(str, PATCH_LAYERS))}")
    ndf: int = option(64, "width of the discriminator")
    objective: str = option("l1+cgan", f"terms of the objective: {', '.join(OBJECTIVES)}")
    lambda_l1: float = option(100.0, "weight of the L1 term")
    gan_mode: str = option("vanilla", "vanilla or lsgan")
    resize: str = option("286x286", "HEIGHTxWIDTH every item is brought to; empty keeps the stored size")
    crop: str = option("256x256", "HEIGHTxWIDTH of the random window (jitter); empty takes the whole image")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            listed = ", ".join(str(choice) for choice in choices if choice != "")
            require(value in choices, f"{name} is {value!r}, expected one of {listed}")
        require(self.lambda_l1 > 0, f"lambda_l1 is {self.lambda_l1}, expected a positive number; see --objective")
        require_architecture(lambda: self.architecture)

    @property
    def architecture(self) -> Architecture:
        fields = Architecture.__dataclass_fields__.keys() - {"dropout_blocks"}
        blocks = self.n_blocks if self.generator == "resnet" else min(_PAPERS_DROPOUT, self.n_downsample - 1)
        dropout = tuple(range(blocks)) if self.dropout else ()
        return Architecture(**{name: getattr(self, name) for name in fields}, dropout_blocks=dropout)

    @property
    def is_conditional(self) -> bool:
        """Whether the discriminator sees the input beside the image."""
        return self.objective.endswith("cgan")

    @property
    def has_gan(self) -> bool:
        return "gan" in self.objective

    @property
    def has_l1(self) -> bool:
        return self.objective.startswith("l1")

    @property
    def augmentation(self) -> Augmentation:
        a = self.architecture
        sizes = {"resize": parse_size(self.resize), "crop": parse_size(self.crop)}
        for name, size in sizes.items():
            fits = size is None or all(side % a.size_multiple == 0 and side >= a.smallest_side for side in size)
            require(
                fits or (name == "resize" and bool(self.crop)),
                f"{name} {getattr(self, name)}: sides must be multiples of {a.size_multiple}, at least "
                f"{a.smallest_side}; or lower --n-downsample",
            )
        if sizes["crop"] and self.has_gan:
            least = 3 * 2 ** PATCH_LAYERS[self.patch_size]  # a normalised map of the discriminator needs two pixels
            require(
                min(sizes["crop"]) >= least,
                f"crop {self.crop}: a discriminator of {self.patch_size}-pixel patches needs sides of at least "
                f"{least}; or lower --patch-size",
            )
        return Augmentation(min_scale=self.min_scale, flip=self.flip, multiple=a.size_multiple, **sizes)


# Epochs, batch and jitter of the tasks are the paper's (appendix 6.2), half of long runs with falling learning rate as
# in its code. "mirror only" tasks resize to the crop.
_LONG: dict[str, Any] = {"epochs": 100, "decay_epochs": 100}
_MIRROR_ONLY = {"resize": "256x256", "batch_size": 4}
_SMALL: dict[str, Any] = {"n_downsample": 6}
# Edges of procedural streets, whole pictures, for two CPU cores.
_STREETS: dict[str, Any] = {
    **_SMALL,
    "derive": "edges",
    "input_nc": 1,
    "ngf": 16,
    "ndf": 32,
    "dropout": False,
    "precision": "auto",
    "resize": "",
    "crop": "",
    "save_every": 200,
    "sample_every": 400,
}
PRESETS: dict[str, dict[str, Any]] = {
    "labels2photo": {**_LONG},
    "photo2labels": {**_LONG, "direction": "BtoA"},
    "facades": {**_LONG, "direction": "BtoA"},
    "map2aerial": {**_LONG, "direction": "BtoA"},
    "aerial2map": {**_LONG},
    "grey2colour": {**_MIRROR_ONLY, **_LONG, "derive": "grey", "input_nc": 1},
    "edges2photo": {**_MIRROR_ONLY, "derive": "edges", "input_nc": 1, "epochs": 15, "decay_epochs": 0},
    "sketch2photo": {**_MIRROR_ONLY, "derive": "sketch", "input_nc": 1, "epochs": 15, "decay_epochs": 0},
    "day2night": {**_MIRROR_ONLY, "resize": "286x286", "epochs": 17, "decay_epochs": 0},
    "thermal2colour": {**_MIRROR_ONLY, "resize": "286x286", "epochs": 10, "decay_epochs": 0},
    "incomplete2complete": {**_MIRROR_ONLY, "derive": "incomplete", "epochs": 25, "decay_epochs": 0},
    # The engine that ships: at first what is where, and its colour; then, after --init, detail.
    "demo": {**_STREETS, "objective": "l1", "lr": 1e-3, "beta1": 0.9, "epochs": 2, "decay_epochs": 3},
    "demo-fine": {**_STREETS, "lambda_l1": 200.0, "ema": 0.998, "epochs": 3, "decay_epochs": 2},
    "smoke": {
        **_SMALL,
        "ngf": 4,
        "ndf": 4,
        "resize": "72x72",
        "crop": "64x64",
        "epochs": 1,
        "decay_epochs": 1,
        "save_every": 2,
        "log_every": 1,
    },
}
