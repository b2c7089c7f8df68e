"""Gradients inside an exported graph: torch derives them, as plain operations that every runtime has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

Weights = Mapping[str, Mapping[str, Tensor]]
_CONVOLUTION = torch.ops.aten.convolution.default
_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default


class TracedStep(nn.Module):
    """A function of networks and tensors, the derivatives inside it written out.

    Args:
        step: (weights by network and name, tensors …) → tensors; may call `torch.func.grad` and
            `torch.func.functional_call`.
        networks: whose weights it takes; they become the graph's constants.
        examples: one tensor per further argument. Sizes above 1 that are no network's stay free where the exporter is
            told so.

    Raises:
        NotImplementedError: the step needs a convolution's gradient by its weights.
    """

    def __init__(self, step: Callable[..., Any], networks: Mapping[str, nn.Module], examples: Sequence[Tensor]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.step = make_fx(step, tracing_mode="symbolic")(self._weights(), *examples)
        express_backward_convolutions(self.step)

    def forward(self, *tensors: Tensor) -> Any:
        """What `step` gives."""
        return self.step(self._weights(), *tensors)

    def _weights(self) -> dict[str, dict[str, Tensor]]:
        return {name: dict(network.named_parameters()) for name, network in self.networks.items()}


def express_backward_convolutions(module: GraphModule) -> None:
    """Replace, in place, each gradient by a convolution's input, which ONNX lacks.

    A convolution's is the transposed one of the same weights, and the reverse.

    Raises:
        NotImplementedError: a gradient by the weights or the bias is used too.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is not _CONVOLUTION_BACKWARD:
            continue
        for taken in list(node.users):
            if taken.users and taken.args[1] != 0:
                raise NotImplementedError("gradients by a convolution's weights are not exported")
            if taken.users:
                with graph.inserting_before(taken):
                    taken.replace_all_uses_with(graph.call_function(_CONVOLUTION, _input_gradient(node)))
            graph.erase_node(taken)
        graph.erase_node(node)
    graph.lint()
    module.recompile()


def _input_gradient(node: Node) -> tuple[Any, ...]:
    """Arguments of the convolution that gives what `node` gives first."""
    grad_output, image, weight, _, stride, padding, dilation, is_transposed, _, groups, _ = node.args
    extra = [0, 0] if is_transposed else _left_over(image, grad_output, weight, stride, padding, dilation)
    return grad_output, weight, None, stride, padding, dilation, not is_transposed, extra, groups


def _left_over(image: Any, grad_output: Any, weight: Any, stride: Any, padding: Any, dilation: Any) -> list[int]:
    """Pixels at the far borders that the convolution's stride did not reach: output_padding of the transposed one."""
    sides, made, kernel = (value.meta["val"].shape[2:] for value in (image, grad_output, weight))
    return [
        int(sides[i] - ((made[i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + 1))
        for i in range(2)
    ]
