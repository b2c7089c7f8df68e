"""Options and presets of inpainting's training."""

from dataclasses import dataclass
from typing import Any

from training.data.augmentation import Augmentation, parse_size
from training.data.holes import KINDS, parse_kinds
from training.losses import GAN_MODES
from training.networks.inpainting import Architecture
from training.networks.normalization import NORMS
from training.networks.patchgan import PATCH_LAYERS
from training.options import WindowOptions, option, require, require_architecture
from training.systems.feature_network.options import parse_widths

INFER, TRANSLATE = "image2feature", "feature2image"
BOTH = "both"
SOURCES = ("truth", "predicted", "mixture")
_CHOICES: dict[str, tuple[Any, ...]] = {
    "networks": (BOTH, INFER, TRANSLATE),
    "translate_from": SOURCES,
    "gan_mode": GAN_MODES,
    "d_norm": NORMS,
    "patch_size": tuple(size for size in PATCH_LAYERS if size > 1),
}
_WEIGHTS = ("lambda_feature", "lambda_perceptual", "lambda_gan", "lambda_gan_infer", "lambda_l1")
_SMALLEST_FOR_D2 = 32  # pixels: a normalised map of D₂ needs two


@dataclass(frozen=True, kw_only=True)
class Options(WindowOptions):
    """Options of inpainting; defaults are the paper's where it names them."""

    batch_size: int = option(4, "photos per step and process")
    features: str = option("", "frozen feature network: checkpoint of feature_network, or torchvision's vgg19 weights")
    networks: str = option(BOTH, "which are trained: both, or image2feature or feature2image alone")
    image2feature: str = option("", "checkpoint of inpainting to take Image2Feature from, after --init")
    feature_widths: str = option("64,128,256", "channels of the feature network; VGG19's are 64,128,256")
    infer_ngf: int = option(64, "width of Image2Feature at half resolution")
    n_blocks: int = option(9, "residual blocks of Image2Feature")
    dilation: int = option(2, "of the first convolution of each block")
    translate_ngf: int = option(64, "width of Feature2Image at half resolution")
    n_levels: int = option(7, "convolutions of Feature2Image, all but the first of stride 2")
    ndf: int = option(64, "width of both discriminators")
    d_norm: str = option("batch", "normalisation of both discriminators: batch, instance or none")
    patch_size: int = option(70, "pixels a side that Image2Feature's discriminator judges: 16, 34, 70, 142 or 286")
    gan_mode: str = option("vanilla", "vanilla or lsgan")
    lr: float = option(2e-4, "learning rate of Feature2Image")
    lr_infer: float = option(2e-3, "learning rate of Image2Feature")
    lr_discriminator: float = option(2e-4, "learning rate of both discriminators")
    lambda_feature: float = option(10.0, "weight of Image2Feature's feature loss in the hole")
    boundary_weight: float = option(2.0, "weight, in that loss, of the hole's pixels that touch what is known")
    lambda_perceptual: float = option(10.0, "weight of Feature2Image's feature loss")
    lambda_gan: float = option(1.0, "weight of Feature2Image's adversarial loss; 0 trains no discriminator")
    lambda_gan_infer: float = option(1.0, "weight of Image2Feature's, where discriminators are trained")
    lambda_l1: float = option(0.0, "weight of pixel L1: of the coarse image in the hole, of the translated one outside")
    translate_from: str = option("truth", "features that Feature2Image learns from: truth, predicted or mixture")
    predicted_share: float = option(0.5, "of items whose features are predicted in a mixture")
    end_to_end: bool = option(False, "let Feature2Image's losses train Image2Feature too; not with truth")
    holes: str = option(",".join(KINDS), f"kinds of holes: {', '.join(KINDS)}")
    crop: str = option("256x256", "HEIGHTxWIDTH of a random window; empty takes the whole image")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            listed = ", ".join(map(str, choices))
            require(value in choices, f"{name} is {value!r}, expected one of {listed}")
        for name in _WEIGHTS:
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, expected 0 or more")
        require(self.lambda_feature + self.lambda_l1 > 0, "lambda_feature and lambda_l1 are both 0: nothing to train")
        require(self.lambda_perceptual + self.lambda_l1 > 0, "lambda_perceptual and lambda_l1 are both 0")
        for name in ("lr_infer", "lr_discriminator", "boundary_weight"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}, expected a positive number")
        require(0 <= self.predicted_share <= 1, f"predicted_share is {self.predicted_share}, expected 0 to 1")
        require(
            not self.end_to_end or self.translate_from != "truth",
            "end_to_end needs --translate-from predicted or mixture: true features say nothing of Image2Feature",
        )
        require(
            self.networks != TRANSLATE or bool(self.image2feature or self.init),
            "networks is feature2image: name the Image2Feature that it will be used with, --image2feature FILE",
        )
        require(not self.end_to_end or self.networks == BOTH, f"end_to_end trains both networks, not {self.networks}")
        require(self.batch_size >= 2, "batch_size is 1, but a batch's statistics need at least 2 images")
        require_architecture(lambda: self.architecture)
        parse_kinds(self.holes)

    def trains(self, name: str) -> bool:
        """Whether the network of that name learns; else it stays as it began."""
        return self.networks in (BOTH, name)

    @property
    def architecture(self) -> Architecture:
        fields = Architecture.__dataclass_fields__.keys() - {"feature_widths"}
        widths = parse_widths(self.feature_widths, "feature_widths")
        return Architecture(**{name: getattr(self, name) for name in fields}, feature_widths=widths)

    @property
    def augmentation(self) -> Augmentation:
        a = self.architecture
        least = a.smallest_side
        if self.lambda_gan:  # a normalised map of a discriminator needs two pixels
            least = max(least, _SMALLEST_FOR_D2, 3 * 2 ** PATCH_LAYERS[self.patch_size])
        sizes = {"resize": parse_size(self.resize), "crop": parse_size(self.crop)}
        for name, size in sizes.items():
            fits = size is None or all(side % a.size_multiple == 0 and side >= least for side in size)
            require(
                fits or (name == "resize" and bool(self.crop)),
                f"{name} {getattr(self, name)}: sides must be multiples of {a.size_multiple}, at least {least}; or "
                "lower --n-levels and --patch-size",
            )
        return Augmentation(min_scale=self.min_scale, flip=self.flip, multiple=a.size_multiple, **sizes)

    def lr_scale(self, parameter: str) -> float:
        rates = {"generator.image2feature.": self.lr_infer, "discriminator.": self.lr_discriminator}
        return next((rate / self.lr for network, rate in rates.items() if parameter.startswith(network)), 1.0)


_DEMO: dict[str, Any] = {
    "feature_widths": "16,32,64",
    "infer_ngf": 24,
    "n_blocks": 6,
    "translate_ngf": 16,
    "n_levels": 4,
    "ndf": 16,
    "lr": 1e-3,
    "crop": "128x128",
    "precision": "auto",
    "save_every": 200,
    "sample_every": 400,
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    # The engine that ships, an hour on one CPU core for each: whole pictures at a quarter of their size for
    # Image2Feature, which works at the lowest scale, windows at every scale for Feature2Image.
    "demo-infer": _DEMO
    | {
        "networks": INFER,
        "batch_size": 16,
        "lambda_gan": 0.0,
        "lambda_feature": 0.0,
        "lambda_l1": 1.0,
        "lr_infer": 1e-3,
        "ema": 0.998,
        "resize": "160x160",
        "min_scale": 0.8,
        "epochs": 22,
        "decay_epochs": 22,
    },
    "demo-translate": _DEMO
    | {
        "networks": TRANSLATE,
        "batch_size": 8,
        "gan_mode": "lsgan",
        "lambda_l1": 10.0,
        "lr_discriminator": 1e-3,
        "min_scale": 0.25,
        "epochs": 8,
        "decay_epochs": 7,
    },
    "smoke": {
        "feature_widths": "4,4,8",
        "infer_ngf": 2,
        "n_blocks": 1,
        "translate_ngf": 2,
        "n_levels": 3,
        "ndf": 4,
        "patch_size": 16,
        "batch_size": 2,
        "resize": "40x40",
        "crop": "32x32",
        "lambda_l1": 1.0,
        "epochs": 1,
        "decay_epochs": 1,
        "save_every": 2,
        "log_every": 1,
    },
}
