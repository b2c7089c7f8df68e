"""Cost is counted as on paper."""

import onnx
import pytest
from onnx import TensorProto, helper

from export.cost import cost_of
from runtime.engines.spec import Cost
from tests.export.conftest import Tiny
from tests.tiny_models import tiny_checkpoint


def test_one_convolution_by_hand() -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], [0.5] * 108)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "t"], ["y"], strides=[2, 2]),
    ]
    transposed = helper.make_tensor("t", TensorProto.FLOAT, [4, 2, 2, 2], [0.5] * 32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight, transposed],
    )
    cost = cost_of(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), {"x": (1, 3, 5, 7)}, (5, 7), 99
    )
    conv, transpose = 5 * 7 * 4 * 3 * 3 * 3, 5 * 7 * 4 * 2 * 2 * 2
    peak = 4 * (5 * 7 * 4 + 10 * 14 * 2)  # the Relu's output and the ConvTranspose's
    assert cost == Cost((5, 7), conv + transpose, 99, 4 * (108 + 32), peak)


def test_an_input_takes_memory_until_its_last_use() -> None:
    """Eight planes come in, one goes out; the input is needed by the second node, too."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 8, 1, 1], [0.5] * 8)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["x", "w"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 6, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert cost_of(model, {"x": (1, 8, 6, 5)}, (6, 5), 8).activation_bytes == 4 * 6 * 5 * (8 + 2)


@pytest.mark.parametrize("dynamic", [False, True])
def test_parameters_are_the_trained_networks(dynamic: bool, tiny_engines: Tiny) -> None:
    networks = tiny_checkpoint("features").build()
    for engine, name in zip(tiny_engines("features", dynamic=dynamic), ("generator", "encoder"), strict=True):
        assert engine.spec.cost.parameters == sum(weight.numel() for weight in networks[name].parameters())
        stored = sum(len(onnx.numpy_helper.to_array(t).tobytes()) for t in onnx.load(engine.path).graph.initializer)
        assert engine.spec.cost.weight_bytes == stored


def test_half_precision_halves_memory(tiny_engines: Tiny) -> None:
    full, half = tiny_engines("local")[0].spec.cost, tiny_engines("local", "fp16")[0].spec.cost
    assert full.macs == half.macs
    assert half.weight_bytes < 0.6 * full.weight_bytes
    assert half.activation_bytes < full.activation_bytes
