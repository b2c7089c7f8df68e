"""Options and presets of the Contextual GAN's training."""

from dataclasses import dataclass
from typing import Any

from training.data.sketches import STYLES
from training.networks.contextual_gan import Architecture
from training.options import LoopOptions, option, require, require_architecture

SOURCES = (*STYLES, "stored")


@dataclass(frozen=True, kw_only=True)
class Options(LoopOptions):
    """Options of the Contextual GAN; defaults are the paper's (sections 3.3 and 3.4)."""

    batch_size: int = option(64, "joint images per step and process")
    epochs: int = option(200, "passes over the data at the full learning rate")
    decay_epochs: int = option(0, "further passes while the learning rate falls linearly to zero")
    style: str = option("xdog", f"sketches made from the photos: {', '.join(STYLES)}; stored reads joint images")
    z_nc: int = option(100, "length of the latent vector z")
    ngf: int = option(64, "width of the generator's finest hidden level")
    ndf: int = option(64, "width of the discriminator's first level")
    n_levels: int = option(4, "stride-2 steps; the photo's side is 4 · 2^n pixels")
    d_norm: str = option("batch", "normalisation of the discriminator: batch or none")
    d_steps: int = option(1, "steps of the discriminator before those of the generator")
    g_steps: int = option(1, "steps of the generator after those of the discriminator")
    lambda_gan: float = option(1.0, "weight of the generator's adversarial loss")
    lambda_rebuild: float = option(0.0, "weight of L1(G(E(x)), x), E being an encoder that is trained along; 0: none")
    lambda_latent: float = option(1.0, "weight of the distance between the spread of E(x) and that of random z")
    flip: bool = option(True, "mirror half of the items")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.style in SOURCES, f"style is {self.style!r}, expected one of {', '.join(SOURCES)}")
        for name in ("d_steps", "g_steps"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, expected at least 1")
        require(self.lambda_gan > 0, f"lambda_gan is {self.lambda_gan}, expected a positive number")
        for name in ("lambda_rebuild", "lambda_latent"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, expected 0 or more")
        require(self.batch_size >= 2, "batch_size is 1, but a batch's statistics need at least 2 images")
        require_architecture(lambda: self.architecture)

    @property
    def architecture(self) -> Architecture:
        return Architecture(**{name: getattr(self, name) for name in Architecture.__dataclass_fields__})


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    # Section 3.4: a further style of sketch, --init from the first.
    "fine-tune": {"lr": 1e-5, "epochs": 50},
    "large": {"n_levels": 5},
    # The engine that ships: procedural faces, small enough for two CPU cores.
    "demo": {
        "ngf": 24,
        "ndf": 24,
        "lambda_gan": 0.2,
        "lambda_rebuild": 10.0,
        "lr": 5e-4,
        "batch_size": 16,
        "epochs": 24,
        "decay_epochs": 10,
        "precision": "auto",
        "save_every": 250,
        "sample_every": 250,
    },
    "smoke": {
        "z_nc": 16,
        "ngf": 4,
        "ndf": 4,
        "n_levels": 2,
        "batch_size": 2,
        "epochs": 1,
        "save_every": 2,
        "log_every": 1,
    },
}
