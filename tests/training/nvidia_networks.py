"""pix2pixHD's global generator and encoder, written out layer by layer as in NVIDIA's code: what imports must equal."""

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, nc: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(nc, nc, 3), norm(nc), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(nc, nc, 3), norm(nc)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class GlobalGenerator(nn.Module):
    """With `n_blocks` 0 it is the encoder, before the means over instances."""

    def __init__(self, input_nc: int, output_nc: int, ngf: int, n_down: int, n_blocks: int, norm: str) -> None:
        super().__init__()
        make = nn.BatchNorm2d if norm == "batch" else nn.InstanceNorm2d
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(input_nc, ngf, 7), make(ngf), nn.ReLU()]
        for _ in range(n_down):
            layers += [nn.Conv2d(ngf, 2 * ngf, 3, 2, 1), make(2 * ngf), nn.ReLU()]
            ngf *= 2
        layers += [Block(ngf, make) for _ in range(n_blocks)]
        for _ in range(n_down):
            layers += [nn.ConvTranspose2d(ngf, ngf // 2, 3, 2, 1, 1), make(ngf // 2), nn.ReLU()]
            ngf //= 2
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(ngf, output_nc, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def global_generator(input_nc: int, output_nc: int, norm: str, *, n_down: int = 3, n_blocks: int = 1) -> nn.Module:
    """Small, in evaluation mode, with random weights that give images of some contrast, and BatchNorm's statistics."""
    torch.manual_seed(3)
    network = GlobalGenerator(input_nc, output_nc, 4, n_down, n_blocks, norm)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.copy_(torch.randn_like(value) * (0.1 if value.ndim > 1 else 0.5))
    return network.eval()
