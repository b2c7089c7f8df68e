"""Networks called with the input channels that are not zero: classes that a label map does not show cost nothing.

The first convolutions see one-hot classes at full resolution, more channels than all that follows. A window of a street
shows a third of its classes; the others' channels are zero, add nothing, and their weights get a gradient of zero.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def seen_channels(classes: Tensor, label_nc: int, others: int) -> Tensor:
    """Numbers of the channels of [one-hot classes][other channels] that are not zero everywhere, int64.

    Args:
        classes: the classes that appear, ascending.
        label_nc: all classes.
        others: channels behind them, which count as seen.
    """
    behind = torch.arange(label_nc, label_nc + others, device=classes.device)
    return torch.cat([classes.to(torch.int64), behind])


def call_with(network: nn.Module, first: Iterable[str], channels: Tensor, x: Tensor) -> Any:
    """`network` of an input of which only `channels` are given, the others being zero.

    Args:
        network: takes one tensor.
        first: names of the weights [out, in, h, w] of the convolutions that see the input.
        channels: int64, which input channels `x` holds, in its order.
        x: [N, len(channels), H, W].
    """
    weights = dict(network.named_parameters())
    chosen = {name: weights[name].index_select(1, channels) for name in first}
    return torch.func.functional_call(network, chosen, (x,))
