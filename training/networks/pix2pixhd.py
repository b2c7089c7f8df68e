"""The pix2pixHD generator (section 3.2, G = {G1, G2}) and instance encoder (section 3.4)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.networks.layers import UPSAMPLINGS, ResidualBlock, double, front, halve, to_image
from training.networks.seen_channels import call_with

NORMS = ("instance", "batch")
# Bounds of what a file may ask for: far above any network in use, low enough that nobody's file fills the memory.
_LIMITS = {
    "label_nc": 256,
    "image_nc": 64,
    "output_nc": 64,
    "feat_num": 256,
    "ngf": 1024,
    "n_downsample": 8,
    "n_blocks": 64,
    "n_enhancers": 4,
    "n_blocks_local": 64,
    "nef": 256,
    "n_downsample_encoder": 8,
}


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes the inference networks. Defaults are the paper's 1024×512 global generator.

    Attributes:
        label_nc: classes of the label map; 0 where the input is an image.
        image_nc: channels of that image; not used where there are classes.
        output_nc: channels of the image that is made.
        norm: of every convolution but the last: "instance", or "batch" in networks that others trained so.
        use_edges: whether the instance boundary map is an input channel.
        feat_num: channels of the instance features; 0 without an encoder.
        ngf: width of the front convolution at full resolution.
        n_downsample: stride-2 convolutions of the global generator.
        n_blocks: residual blocks of the global generator.
        n_enhancers: local enhancers; each doubles both sides. The global generator then has width ngf · 2^n_enhancers.
        n_blocks_local: residual blocks of each enhancer.
        nef: width of the encoder's front convolution.
        n_downsample_encoder: stride-2 convolutions of the encoder.
        upsampling: of the generator (`training.networks.layers.double`): "transposed", the paper's, "smooth" or
            "bilinear".
    """

    label_nc: int = 35
    use_edges: bool = True
    feat_num: int = 0
    ngf: int = 64
    n_downsample: int = 4
    n_blocks: int = 9
    n_enhancers: int = 0
    n_blocks_local: int = 3
    nef: int = 16
    n_downsample_encoder: int = 4
    image_nc: int = 3
    output_nc: int = 3
    norm: str = "instance"
    upsampling: str = "transposed"

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
                raise ValueError(f"architecture: {name} is {value!r}, expected an integer from 0 to {limit}")
        if not isinstance(self.use_edges, bool) or min(self.ngf, self.nef, self.image_nc, self.output_nc) < 1:
            raise ValueError(
                "architecture: use_edges must be true or false, ngf, nef, image_nc and output_nc at least 1"
            )
        if self.norm not in NORMS:
            raise ValueError(f"architecture: norm is {self.norm!r}, expected {' or '.join(NORMS)}")
        if self.upsampling not in UPSAMPLINGS:
            raise ValueError(f"architecture: upsampling is {self.upsampling!r}, expected {', '.join(UPSAMPLINGS)}")

    @property
    def input_nc(self) -> int:
        """Channels of the generator's input: [one-hot labels or image][edges][features]."""
        return self.condition_nc + self.feat_num

    @property
    def condition_nc(self) -> int:
        """Those that the discriminators see as well: [one-hot labels or image][edges]."""
        return (self.label_nc or self.image_nc) + int(self.use_edges)

    @property
    def size_multiple(self) -> int:
        """Image height and width must be multiples of this."""
        encoder = self.n_downsample_encoder if self.feat_num else 0
        return int(2 ** max(self.n_downsample + self.n_enhancers, encoder))


def build(architecture: Architecture) -> dict[str, nn.Module]:
    """The networks a pix2pixHD checkpoint holds: "generator", and "encoder" where there are features."""
    networks: dict[str, nn.Module] = {"generator": Generator(architecture)}
    if architecture.feat_num:
        networks["encoder"] = Encoder(architecture)
    return networks


class LocalEnhancer(nn.Module):
    """G2: its front's features plus the coarser generator's last feature map, residual blocks, upsampling."""

    def __init__(self, architecture: Architecture, ngf: int) -> None:
        super().__init__()
        a = architecture
        self.front = nn.Sequential(*front(a.input_nc, ngf, a.norm), *halve(ngf, a.norm))
        blocks = [ResidualBlock(2 * ngf, a.norm) for _ in range(a.n_blocks_local)]
        self.blocks = nn.Sequential(*blocks, *double(2 * ngf, a.norm, a.upsampling))

    def forward(self, x: Tensor, coarse: Tensor) -> Tensor:
        """Input [N, input_nc, H, W] and features [N, 2·ngf, H/2, W/2] → [N, ngf, H, W]."""
        return self.blocks(self.front(x) + coarse)


class Generator(nn.Module):
    """Coarse-to-fine generator with any number of local enhancers.

    `use_checkpointing` recomputes activations in the backward pass: about a third more time, a fraction of the memory.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        nc = a.ngf * 2**a.n_enhancers
        layers = front(a.input_nc, nc, a.norm)
        for _ in range(a.n_downsample):
            layers += halve(nc, a.norm)
            nc *= 2
        layers += [ResidualBlock(nc, a.norm) for _ in range(a.n_blocks)]
        for _ in range(a.n_downsample):
            layers += double(nc, a.norm, a.upsampling)
            nc //= 2
        self.trunk = nn.Sequential(*layers)
        widths = [a.ngf * 2**level for level in reversed(range(a.n_enhancers))]
        self.enhancers = nn.ModuleList(LocalEnhancer(a, width) for width in widths)
        self.head = to_image(a.ngf, a.output_nc)
        self.use_checkpointing = False

    @property
    def first_weights(self) -> list[str]:
        """Names of the weights that see the input."""
        return ["trunk.1.weight", *(f"enhancers.{index}.front.1.weight" for index in range(len(self.enhancers)))]

    def forward(self, x: Tensor, channels: Tensor | None = None) -> Tensor:
        """Encoded labels [N, input_nc, H, W] → image [N, output_nc, H, W] in [−1, 1].

        Where `channels` (int64) names some of them, x holds only these, and the others are zero; not with
        checkpointing, since what is recomputed later would meet all weights again.
        """
        if channels is not None:
            return cast(Tensor, call_with(self, self.first_weights, channels, x))
        pyramid = [x]
        for _ in self.enhancers:
            pyramid.append(F.avg_pool2d(pyramid[-1], 3, stride=2, padding=1, count_include_pad=False))
        features = self._run(self.trunk, pyramid.pop())
        for enhancer in cast(Iterable[LocalEnhancer], self.enhancers):
            features = self._run(enhancer.front, pyramid.pop()) + features
            features = self._run(enhancer.blocks, features)
        return self.head(features)

    def _run(self, layers: nn.Sequential, x: Tensor) -> Tensor:
        if not (self.use_checkpointing and self.training):
            return layers(x)
        for segment in _segments(layers):
            x = checkpoint(segment, x, use_reentrant=False)
        return x

    def freeze_global(self) -> None:
        """Keep the global generator as it is while the enhancers train (the paper's second stage)."""
        self.trunk.requires_grad_(False)


def _segments(layers: nn.Sequential) -> Iterator[nn.Sequential]:
    """Cut at residual blocks and after each activation: the places where a small tensor crosses."""
    segment: list[nn.Module] = []
    for layer in layers:
        segment.append(layer)
        if isinstance(layer, nn.ReLU | ResidualBlock):
            yield nn.Sequential(*segment)
            segment = []
    if segment:
        yield nn.Sequential(*segment)


class Encoder(nn.Module):
    """Instance encoder E: image → features. `instance_means` of its output is what the generator gets."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a, nc = architecture, architecture.nef
        layers = front(a.output_nc, nc, a.norm)
        for _ in range(a.n_downsample_encoder):
            layers += halve(nc, a.norm)
            nc *= 2
        for _ in range(a.n_downsample_encoder):
            layers += double(nc, a.norm)
            nc //= 2
        self.layers = nn.Sequential(*layers, *to_image(nc, a.feat_num))

    def forward(self, image: Tensor) -> Tensor:
        """Image [N, output_nc, H, W] in [−1, 1] → features [N, feat_num, H, W] in [−1, 1]."""
        return self.layers(image)
