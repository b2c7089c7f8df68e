"""Options and presets of pix2pixHD training; the presets are the paper's stages and two small ones."""

from dataclasses import dataclass
from typing import Any

from training.data.augmentation import Augmentation, parse_size
from training.losses import GAN_MODES
from training.networks.layers import UPSAMPLINGS
from training.networks.pix2pixhd import Architecture
from training.options import WindowOptions, option, require, require_architecture


@dataclass(frozen=True, kw_only=True)
class Options(WindowOptions):
    """Options of pix2pixHD; defaults are the reference code's."""

    label_nc: int = option(35, "classes of the label maps; 0 for RGB inputs")
    use_edges: bool = option(True, "feed the instance boundary map")
    feat_num: int = option(0, "channels of instance features; 0 trains no encoder")
    ngf: int = option(64, "width of the generator at full resolution")
    n_downsample: int = option(4, "stride-2 convolutions of the global generator")
    n_blocks: int = option(9, "residual blocks of the global generator")
    n_enhancers: int = option(0, "local enhancers; each doubles the resolution")
    n_blocks_local: int = option(3, "residual blocks of each enhancer")
    nef: int = option(16, "width of the encoder")
    n_downsample_encoder: int = option(4, "stride-2 convolutions of the encoder")
    norm: str = option("instance", "of generator and encoder: instance, or batch (its running statistics are exported)")
    upsampling: str = option("transposed", f"of the generator: {', '.join(UPSAMPLINGS)}; smooth leaves no grid")
    ndf: int = option(64, "width of the discriminators")
    n_layers: int = option(3, "stride-2 layers of the discriminators")
    num_scales: int = option(2, "discriminators at scales 1, ½, ¼ …")
    fix_global: bool = option(False, "train only the enhancers")
    gan_mode: str = option("lsgan", "lsgan or vanilla")
    lambda_gan: float = option(
        1.0, "weight of the adversarial loss; 0 trains no discriminator, on the other losses alone"
    )
    lambda_feature: float = option(10.0, "weight of the feature-matching loss")
    lambda_l1: float = option(0.0, "weight of the L1 distance to the photo (pix2pix equation 3); helps short runs")
    lambda_colour: float = option(
        0.0, "weight of the L1 distances of objects' features and generated mean colours to the photo's; feat_num is 3"
    )
    lambda_perceptual: float = option(10.0, "weight of the VGG19 loss, where --vgg is given")
    vgg: str = option("", "VGG19 weights (.pth or .safetensors) for the perceptual loss")
    n_styles: int = option(10, "K-means centres per class in the style bank")
    style_items: int = option(0, "at most so many items make the style bank, evenly spread; 0: all")
    checkpointing: bool = option(False, "recompute activations in the backward pass to save memory")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_architecture(lambda: self.architecture)
        require(self.gan_mode in GAN_MODES, f"gan_mode is {self.gan_mode!r}, expected one of {', '.join(GAN_MODES)}")
        alone = self.lambda_l1 > 0 or bool(self.vgg)
        require(
            self.lambda_gan > 0 or alone, "lambda_gan is 0, which leaves nothing to learn from without lambda_l1 or vgg"
        )
        colours = self.architecture.output_nc
        require(
            not self.lambda_colour or self.feat_num == colours,
            f"lambda_colour compares features with {colours} colours, but feat_num is {self.feat_num}; give {colours}",
        )
        require(self.style_items >= 0, f"style_items is {self.style_items}, expected 0 or more")
        require(not self.fix_global or self.n_enhancers > 0, "fix_global needs n_enhancers of at least 1")
        require(not self.fix_global or bool(self.init), "fix_global needs --init: the trained global generator")

    @property
    def architecture(self) -> Architecture:
        fields = Architecture.__dataclass_fields__
        return Architecture(**{name: getattr(self, name) for name in fields if hasattr(self, name)})

    @property
    def augmentation(self) -> Augmentation:
        multiple = self.architecture.size_multiple
        sizes = {"resize": parse_size(self.resize), "crop": parse_size(self.crop)}
        for name, size in sizes.items():
            fits = size is None or all(side % multiple == 0 for side in size) or (name == "resize" and self.crop)
            require(bool(fits), f"{name} {getattr(self, name)}: sides must be multiples of {multiple}")
        return Augmentation(min_scale=self.min_scale, flip=self.flip, multiple=multiple, **sizes)


# The stages of the paper (section 3.2, "coarse-to-fine generator"), and two small ones of ours.
_ENHANCED = {"ngf": 32, "n_enhancers": 1, "num_scales": 3, "resize": "1024x2048", "checkpointing": True}
_SMALL = {"ngf": 8, "n_enhancers": 1, "n_downsample": 3, "n_blocks": 6, "n_blocks_local": 2, "feat_num": 3}
_DEMO = {
    **_SMALL,
    "label_nc": 55,  # Cityscapes' classes and the parts of things, `training.class_tables.STREET`
    "upsampling": "smooth",
    "nef": 8,
    "n_downsample_encoder": 3,
    "ndf": 16,
    "num_scales": 3,
    "min_scale": 1.0,
    "lambda_l1": 100.0,
    "precision": "auto",
    "ema": 0.99,
    "style_items": 40,
    "save_every": 400,
    "sample_every": 100,
}
PRESETS: dict[str, dict[str, Any]] = {
    "global": {"resize": "512x1024"},
    "enhancer": {**_ENHANCED, "fix_global": True, "epochs": 50, "decay_epochs": 50},
    "joint": {**_ENHANCED, "epochs": 50, "decay_epochs": 50},
    # The engine that ships, in two stages, both of whole scenes: InstanceNorm takes a window's own light away.
    "demo": {
        **_DEMO,
        "lambda_gan": 0.0,
        "lambda_colour": 100.0,
        "lr": 1e-3,
        "beta1": 0.9,
        "epochs": 3,
        "decay_epochs": 2,
    },
    "demo-fine": {**_DEMO, "lambda_colour": 20.0, "lr": 4e-4, "epochs": 1, "decay_epochs": 1, "save_every": 100},
    "smoke": {
        **_SMALL,
        "ngf": 4,
        "n_blocks": 1,
        "n_blocks_local": 1,
        "nef": 4,
        "n_downsample_encoder": 2,
        "ndf": 4,
        "n_styles": 3,
        "resize": "64x128",
        "epochs": 1,
        "decay_epochs": 1,
        "ema": 0.9,
        "save_every": 2,
        "log_every": 1,
    },
}
