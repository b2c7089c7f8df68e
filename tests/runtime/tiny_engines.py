"""Hand-made engines whose output encodes their input, so that host code is checked exactly and without any network.

Synthesizer: R = label id, G = instance index modulo 256, B = 10 · feature 0 + feature 1 of the instance's style.
Baseline: R = label id, G = 100 · edge, B = the same. Style encoder: feat_map = the image's channels as floats.
Translators and their baselines are in `tiny_translators`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cuda_ext import onnx_functions
from runtime.engines.labels import LabelSpec
from runtime.engines.spec import SPEC_KEY, Cost, EngineSpec, StyleBank, TensorSpec

LABELS = LabelSpec(("sky", "road", "car", "person"), ((70, 130, 180), (128, 64, 128), (0, 0, 142), (220, 20, 60)))
BANK = StyleBank(2, {2: ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)), 3: ((7.0, 8.0), (9.0, 1.0))})
SIZE = (16, 32)

_ONNX_TYPES = {"uint8": TensorProto.UINT8, "int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
_COST = Cost(size=SIZE, macs=1000, parameters=10, weight_bytes=40, activation_bytes=2048)


def save(path, spec, nodes, constants=(), metadata=None):
    """Write a graph with the specification's inputs and outputs; `metadata` replaces the specification entry."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [_value(tensor) for tensor in spec.inputs],
        [_value(tensor) for tensor in spec.outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx_functions.add_functions(model)
    helper.set_model_props(model, {SPEC_KEY: spec.to_json()} if metadata is None else metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return Path(path)


def _value(tensor):
    return helper.make_tensor_value_info(tensor.name, _ONNX_TYPES[tensor.dtype], tensor.shape)


def synthesizer_spec(
    *, inst=False, styles=False, size=SIZE, batch=1, instances="K", multiple=8, smallest=8, labels=LABELS, bank=BANK
):
    """`size` None and `batch` "N" make those axes dynamic."""
    axes = (batch, *(size or ("H", "W")))
    inputs = [TensorSpec("label_map", "uint8", axes)]
    if inst or styles:
        inputs.append(TensorSpec("inst_map", "int32", axes))
    if styles:
        inputs.append(TensorSpec("styles", "float32", (batch, instances, bank.feat_num)))
    return EngineSpec(
        kind="synthesizer",
        family="pix2pixhd",
        inputs=tuple(inputs),
        outputs=(TensorSpec("image", "uint8", (*axes, 3)),),
        size=size,
        size_multiple=multiple,
        smallest_side=smallest,
        labels=labels,
        styles=bank if styles else None,
        normalization="per-image",
        precision="fp32",
        cost=replace(_COST, size=size or SIZE),
        parity={"max_grey_levels": 0.0},
        checkpoint_sha256="0" * 64,
        versions={"pix2rt": "0.1.0"},
    )


def synthesizer(path, **options):
    """Write a synthesizer engine; options are those of `synthesizer_spec`."""
    spec = synthesizer_spec(**options)
    return save(path, spec, *synthesizer_graph(spec))


def synthesizer_graph(spec):
    node = helper.make_node
    constants = [("zero", np.int32(0)), ("last", np.array([-1], np.int64))]
    nodes = [node("Cast", ["label_map"], ["red"], to=TensorProto.INT32), node("Mul", ["red", "zero"], ["black"])]
    green = blue = "black"
    if spec.input("inst_map"):
        constants.append(("byte", np.int32(256)))
        nodes.append(node("Mod", ["inst_map", "byte"], ["green"]))
        green = "green"
    if spec.input("styles"):
        constants.append(("weights", np.array([[10.0], [1.0]], np.float32)))
        nodes += [
            node("Cast", ["inst_map"], ["index"], to=TensorProto.INT64),
            node("Unsqueeze", ["index", "last"], ["indices"]),
            node("GatherND", ["styles", "indices"], ["features"], batch_dims=1),
            node("MatMul", ["features", "weights"], ["code"]),
            node("Squeeze", ["code", "last"], ["code_map"]),
            node("Cast", ["code_map"], ["blue"], to=TensorProto.INT32),
        ]
        blue = "blue"
    for channel, name in enumerate(("red", green, blue)):
        nodes.append(node("Unsqueeze", [name, "last"], [f"channel{channel}"]))
    nodes.append(node("Concat", ["channel0", "channel1", "channel2"], ["rgb"], axis=-1))
    nodes.append(node("Cast", ["rgb"], ["image"], to=TensorProto.UINT8))
    return nodes, constants


def style_encoder(path, size=SIZE, batch=1, kind="style_encoder", output="feat_map"):
    """With kind and output "features" a feature network."""
    axes = size or ("H", "W")
    spec = replace(
        synthesizer_spec(size=size),
        kind=kind,
        inputs=(TensorSpec("image", "uint8", (batch, *axes, 3)),),
        outputs=(TensorSpec(output, "float32", (batch, 3, *axes)),),
        labels=None,
    )
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], [output], perm=[0, 3, 1, 2]),
    ]
    return save(path, spec, nodes)


def baseline(path, *, edge=False, styles=False, size=SIZE, labels=LABELS, extra=0):
    """`extra` channels that nothing explains make the engine refuse to work."""
    channels = labels.label_nc + edge + (BANK.feat_num if styles else 0) + extra
    axes = size or ("H", "W")
    spec = replace(
        synthesizer_spec(size=size, labels=labels),
        kind="baseline",
        inputs=(TensorSpec("input", "float32", (1, channels, *axes)),),
        outputs=(TensorSpec("output", "float32", (1, 3, *axes)),),
        styles=BANK if styles else None,
    )
    weight = np.zeros((3, channels, 1, 1), np.float32)
    weight[0, : labels.label_nc, 0, 0] = np.arange(labels.label_nc)
    if edge:
        weight[1, labels.label_nc] = 100
    if styles:
        weight[2, -2:, 0, 0] = 10, 1
    bias = np.full(3, 0.5 - 127.5, np.float32)  # half a level above the byte: truncation must give it back
    constants = [("weight", weight / np.float32(127.5)), ("bias", bias / np.float32(127.5))]
    return save(path, spec, [helper.make_node("Conv", ["input", "weight", "bias"], ["output"])], constants)
