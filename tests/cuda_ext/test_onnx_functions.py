"""The ONNX functions as parts of models: export from torch, TensorRT-RTX, what does not fit."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from cuda_ext import onnx_functions, ops
from tests.cuda_ext.cases import cases
from tests.cuda_ext.onnx_models import OPSET, session, swap_model
from tests.tolerances import PATCH_SWAP


class Swap(torch.nn.Module):
    """A layer before and after, as in an inpainter."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image, hole):
        return torch.tanh(ops.patch_swap(self.conv(image), hole))


def test_export_from_torch():
    """The operators become nodes, the nodes get functions, and the model computes what the module does."""
    torch.manual_seed(0)
    module = Swap().eval()
    image, hole = torch.randn(1, 3, 16, 20), torch.zeros(1, 1, 16, 20)
    hole[..., 5:10, 7:12] = 1
    program = torch.onnx.export(
        module,
        (image, hole),
        input_names=["image", "hole"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
        custom_translation_table=onnx_functions.translations(),
    )
    model = program.model_proto
    onnx_functions.add_functions(model)
    onnx.checker.check_model(model)
    nodes = [node for node in model.graph.node if node.domain == onnx_functions.DOMAIN]
    assert [node.op_type for node in nodes] == ["PatchMatch", "PatchPaste"]
    for node in nodes:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        assert attributes == {"plugin_namespace": b"pix2rt", "plugin_version": b"1"}
    (output,) = session(model).run(None, {"image": image.numpy(), "hole": hole.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(output, module(image, hole).numpy(), atol=PATCH_SWAP["fp32"])


def test_static_and_dynamic_models_agree():
    features, hole = next((f, h) for f, h in cases(60) if min(f.shape[2:]) > 15 and 0 < (h != 0).mean() < 0.3)
    feeds = {"features": features, "hole": hole}
    dynamic = session(swap_model(("N", "C", "H", "W"))).run(None, feeds)
    for found, expected in zip(session(swap_model(features.shape)).run(None, feeds), dynamic, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "shape", [(1, 16, 24, 32), (2, 16, 24, 32), (1, 16, "H", "W")], ids=["static", "batch", "dynamic"]
)
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16], ids=["fp32", "fp16"])
def test_tensorrt_rtx_builds_the_functions(shape, dtype):
    tensorrt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    strongly_typed = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = tensorrt.OnnxParser(network, builder.logger)
    assert parser.parse(swap_model(shape, dtype).SerializeToString()), [
        parser.get_error(i).desc() for i in range(parser.num_errors)
    ]
    config = builder.create_builder_config()
    if "H" in shape:
        profile = builder.create_optimization_profile()
        for name, channels in (("features", 16), ("hole", 1)):
            profile.set_shape(name, (1, channels, 8, 8), (1, channels, 32, 32), (1, channels, 64, 64))
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    assert plan.nbytes > 0


def bare_model(operator, opset):
    node = helper.make_node(operator, ["x", "x"], ["y"], domain=onnx_functions.DOMAIN)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in "xy"]
    return helper.make_model(
        helper.make_graph([node], "g", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", opset)]
    )


def test_an_unknown_node_is_named():
    with pytest.raises(ValueError, match="PatchMash.*PatchMatch or PatchPaste"):
        onnx_functions.add_functions(bare_model("PatchMash", 20))


def test_an_old_opset_is_refused():
    with pytest.raises(ValueError, match="opset 17.*20"):
        onnx_functions.add_functions(bare_model("PatchMatch", 17))


def test_functions_are_added_once():
    model = swap_model((1, 2, 8, 8))
    onnx_functions.add_functions(model)
    assert sorted(function.name for function in model.functions) == ["PatchMatch", "PatchPaste"]
    assert [entry.domain for entry in model.opset_import] == ["", "pix2rt"]


def test_a_model_without_our_nodes_stays_as_it_is():
    model = bare_model("PatchMatch", 20)
    model.graph.node[0].domain, model.graph.node[0].op_type = "", "Add"
    before = model.SerializeToString()
    onnx_functions.add_functions(model)
    assert model.SerializeToString() == before
