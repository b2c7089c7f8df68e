"""What one run of a graph costs, counted on the graph itself: multiply-adds and the memory its tensors need at once.

How much work patch-swap is depends on the hole; it is counted for one of a quarter of the area.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir
import onnxscript.optimizer
from onnx import TensorProto

from cuda_ext.onnx_functions import DOMAIN
from export.errors import ExportError
from runtime.engines.spec import Cost

_SMALL = 4096  # elements; larger constants are weights, whose values shape inference does not need


def cost_of(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], size: tuple[int, int], parameters: int
) -> Cost:
    """Count the work of one run with inputs of these shapes.

    Args:
        model: without custom operators other than patch-swap's.
        shapes: of every input, all sizes known.
        size: (H, W) of the image, for the record.
        parameters: of the network as trained, for the record.
    """
    plain, matches = _without_patch_swap(model.graph.node)
    graph = _inferred(model, plain, shapes).graph
    bytes_per_value = _tensor_bytes(graph)
    dims = {value.name: _dims(value) for value in (*graph.value_info, *graph.input, *graph.output)}
    dims |= {constant.name: tuple(constant.dims) for constant in graph.initializer}
    _require_shapes(graph, dims)
    return Cost(
        size=size,
        macs=sum(_macs(node, dims) for node in graph.node) + sum(_match_macs(dims[name]) for name in matches),
        parameters=parameters,
        weight_bytes=sum(_constant_bytes(constant) for constant in model.graph.initializer),
        activation_bytes=_peak_bytes(graph, bytes_per_value, set(shapes)),
    )


def _without_patch_swap(nodes: Iterable[onnx.NodeProto]) -> tuple[list[onnx.NodeProto], list[str]]:
    """The nodes with standard ones of the same result shapes in the place of patch-swap's, and the maps it matches."""
    plain, matched = [], []
    for node in nodes:
        if node.domain != DOMAIN:
            plain.append(node)
        elif node.op_type == "PatchMatch":
            matched.append(node.input[0])
            (match,) = node.output
            plain.append(onnx.helper.make_node("ArgMax", [node.input[1]], [f"{match}_64"], axis=1, keepdims=0))
            plain.append(onnx.helper.make_node("Cast", [f"{match}_64"], [match], to=TensorProto.INT32))
        else:
            plain.append(onnx.helper.make_node("Abs", [node.input[0]], list(node.output)))
    return plain, matched


def _match_macs(features: tuple[int, ...]) -> int:
    """A product for each pair of a missing and a known pixel of each image."""
    count, channels, height, width = features
    missing = height * width // 4
    return count * channels * missing * (height * width - missing)


def _inferred(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], shapes: Mapping[str, tuple[int, ...]]
) -> onnx.ModelProto:
    """The model of other nodes without its weights' values, and with the shape of every tensor."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.name = model.graph.name
    light.graph.node.extend(nodes)
    light.graph.output.extend(_named_axes_dropped(value) for value in model.graph.output)
    for value in model.graph.input:
        light.graph.input.append(
            onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shapes[value.name])
        )
    for constant in model.graph.initializer:
        if math.prod(constant.dims) <= _SMALL:
            light.graph.initializer.append(constant)
        else:
            info = onnx.helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
            light.graph.input.append(info)
    folded = onnx_ir.from_proto(light)  # sizes that the graph computes from its inputs' become numbers
    onnxscript.optimizer.fold_constants(folded, onnx_shape_inference=True)
    return onnx.shape_inference.infer_shapes(onnx_ir.to_proto(folded), strict_mode=True, data_prop=True)


def _named_axes_dropped(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """An output whose shape is left to shape inference."""
    return onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, None)


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)


def _tensor_bytes(graph: onnx.GraphProto) -> dict[str, int]:
    return {
        value.name: math.prod(_dims(value)) * _item_bytes(value.type.tensor_type.elem_type)
        for value in (*graph.value_info, *graph.input, *graph.output)
    }


def _item_bytes(elem_type: int) -> int:
    dtype: np.dtype[Any] = onnx.helper.tensor_dtype_to_np_dtype(elem_type)
    return int(dtype.itemsize)


def _constant_bytes(constant: TensorProto) -> int:
    return int(math.prod(constant.dims)) * _item_bytes(constant.data_type)


def _require_shapes(graph: onnx.GraphProto, dims: Mapping[str, tuple[int, ...]]) -> None:
    """Every product's shapes must be known, else the count would be too small without a word."""
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
            unknown = [name for name in (*node.input[:2], *node.output) if not all(dims.get(name, (0,)))]
            if unknown:
                raise ExportError(
                    f"the work of {node.op_type} {node.name} cannot be counted: shape inference does not know "
                    f"{', '.join(unknown)}; report this with the checkpoint's architecture"
                )


def _macs(node: onnx.NodeProto, dims: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":  # weight [out, in/groups, kh, kw]
        return math.prod(dims[node.output[0]]) * math.prod(dims[node.input[1]][1:])
    if node.op_type == "ConvTranspose":  # weight [in, out/groups, kh, kw]
        return math.prod(dims[node.input[0]]) * math.prod(dims[node.input[1]][1:])
    if node.op_type in ("MatMul", "Gemm"):
        return math.prod(dims[node.output[0]]) * dims[node.input[0]][-1]
    return 0


def _peak_bytes(graph: onnx.GraphProto, sizes: Mapping[str, int], inputs: set[str]) -> int:
    """The largest sum of tensors alive at once when nodes run in order and a tensor dies after its last use."""
    last_use = {name: index for index, node in enumerate(graph.node) for name in node.input}
    last_use |= {value.name: len(graph.node) for value in graph.output}
    alive = {name: sizes[name] for name in inputs}
    peak = sum(alive.values())
    for index, node in enumerate(graph.node):
        if node.op_type == "Constant":
            continue
        alive |= {name: sizes.get(name, 0) for name in node.output}
        peak = max(peak, sum(alive.values()))
        for name in (*node.input, *node.output):
            if last_use.get(name, index) <= index:
                alive.pop(name, None)
    return peak
