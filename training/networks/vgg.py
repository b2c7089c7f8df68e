"""VGG19 features relu1_1 … relu5_1 for perceptual losses; the weights are a file that the user names."""

from pathlib import Path

import torch
from torch import Tensor, nn

from training.errors import CheckpointError
from training.safe_load import load_state_dict_file

# Channels of the convolutions up to relu5_1, each followed by a ReLU; 0 is a 2×2 max-pooling.
_CONFIGURATION = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
_SLICE_ENDS = (2, 7, 12, 21, 30)  # one past relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class VGG19Features(nn.Module):
    """Frozen slices of VGG19.

    Args:
        weights: a `.pth` or `.safetensors` state dict with torchvision's names (`features.0.weight`, …); classifier
            entries are ignored.

    Raises:
        MissingFileError, CheckpointError: the file is not there or is no VGG19.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        nc = 3
        for width in _CONFIGURATION:
            layers += [nn.MaxPool2d(2)] if width == 0 else [nn.Conv2d(nc, width, 3, padding=1), nn.ReLU()]
            nc = width or nc
        self.features = nn.Sequential(*layers)
        self._load(Path(weights))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def _load(self, path: Path) -> None:
        state = load_state_dict_file(path, "VGG19 weights")
        wanted = self.state_dict()
        missing = [name for name, value in wanted.items() if name not in state or state[name].shape != value.shape]
        if missing:
            raise CheckpointError(
                f"{path} is no VGG19 state dict: {len(missing)} of {len(wanted)} tensors are missing or of another "
                f"shape ({', '.join(missing[:3])}, …); give torchvision's vgg19 weights"
            )
        self.load_state_dict({name: state[name] for name in wanted})

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image [N, 3, H, W] in [−1, 1] → relu1_1, relu2_1, relu3_1, relu4_1, relu5_1."""
        x = ((image + 1) / 2 - self.mean) / self.std
        outputs, start = [], 0
        for end in _SLICE_ENDS:
            x = self.features[start:end](x)
            outputs.append(x)
            start = end
        return outputs
