"""The frozen feature network of inpainting, from a file that the user names."""

from pathlib import Path

from torch import Tensor, nn

from runtime.files import require_file
from training.checkpoint import is_checkpoint, load_strict
from training.errors import CheckpointError, TrainingError
from training.safe_load import load_state_dict_file
from training.state import CHECKPOINT_FILE, read_initial

_PREFIX = "features."  # torchvision's names of the convolutions
_FAMILY = "feature_network"


def load_features(source: str, network: nn.Module) -> None:
    """Load `source` into `network`, and freeze it.

    Args:
        source: a checkpoint or run folder of the family feature_network, or torchvision's vgg19 state dict (`.pth`,
            `.safetensors`), of which the layers up to relu3_1 are read.
        network: a `FeatureNetwork` of the widths that are expected.

    Raises:
        TrainingError: no file was named.
        MissingFileError: it does not exist.
        CheckpointError: it is damaged, of another kind or of other widths.
    """
    if not source:
        raise TrainingError(
            "no feature network named; give --features FILE: torchvision's vgg19 weights, or a checkpoint of "
            "`python -m training feature_network`"
        )
    path = Path(source)
    path = path / CHECKPOINT_FILE if path.is_dir() else path
    is_ours = is_checkpoint(require_file(path, "feature network"))
    state = read_initial(path, _FAMILY).networks["features"] if is_ours else _torchvision_state(path, network)
    try:
        load_strict(network, state, "features")
    except CheckpointError as error:
        raise CheckpointError(f"--features {path} does not fit --feature-widths {_widths(network)}: {error}") from error
    network.requires_grad_(False).eval()


def _torchvision_state(path: Path, network: nn.Module) -> dict[str, Tensor]:
    state = load_state_dict_file(path)
    wanted = network.state_dict()
    layers = {name: value for name, value in state.items() if name.startswith(_PREFIX) and name in wanted}
    constants = {name: value for name, value in wanted.items() if not name.startswith(_PREFIX)}
    return layers | constants


def _widths(network: nn.Module) -> str:
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return ",".join(str(convolutions[index].out_channels) for index in (0, 2, 4))
