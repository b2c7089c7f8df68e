"""`PatchMatch` and `PatchPaste` of domain `pix2rt` as model-local functions in standard ONNX operators.

A model that carries them runs anywhere: ONNX Runtime inlines them, TensorRT takes the plugin of the same name where
`cuda_ext.plugins` registered it and the function else, TensorRT-RTX takes the function. The text of the functions lies
beside this file; batch, height and width may be dynamic.

The only module of this package that needs onnx.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
from onnx import FunctionProto, ModelProto, NodeProto, helper
from onnx.defs import OpSchema

DOMAIN = "pix2rt"
VERSION = "1"
OPSET = 20  # of the standard operators inside the functions; any later opset has them unchanged


def functions() -> list[FunctionProto]:
    """`PatchMatch` (features, hole) → match and `PatchPaste` (features, hole, match) → output.

    features and hole are float or float16, [N, C, H, W] and [N, 1, H, W], not zero = missing; match is int32 [N, H, W].
    """
    return [_function(name) for name in ("patch_match", "patch_paste")]


def _function(name: str) -> FunctionProto:
    lines = Path(__file__).with_name(f"{name}.onnxtxt").read_text("utf-8").splitlines()
    return onnx.parser.parse_function("\n".join(line for line in lines if not line.lstrip().startswith("#")))


def patch_swap_nodes(features: str, hole: str, output: str) -> list[NodeProto]:
    """The two nodes that make PatchSwap; the names are of values, of one floating type each."""
    match = f"{output}_match"
    return [_node("PatchMatch", [features, hole], match), _node("PatchPaste", [features, hole, match], output)]


def _node(operator: str, inputs: list[str], output: str) -> NodeProto:
    return helper.make_node(
        operator,
        inputs,
        [output],
        f"{operator}_{output}",
        domain=DOMAIN,
        plugin_namespace=DOMAIN,
        plugin_version=VERSION,
    )


def add_functions(model: ModelProto) -> None:
    """Give a model, in place, the functions of the `pix2rt` nodes that it has.

    Raises:
        ValueError: a `pix2rt` node is neither of the two, or the model's standard operators are older than opset 20.
    """
    known = {function.name: function for function in functions()}
    used = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    if unknown := sorted(used - known.keys()):
        raise ValueError(f"the graph has nodes {', '.join(unknown)} of domain {DOMAIN}, expected {' or '.join(known)}")
    opset = max((entry.version for entry in model.opset_import if not entry.domain), default=OPSET)
    if opset < OPSET:
        raise ValueError(
            f"the graph is of opset {opset}, the functions need {OPSET} or later; export it with opset {OPSET}"
        )
    present = {function.name for function in model.functions if function.domain == DOMAIN}
    for name in sorted(used - present):
        known[name].opset_import[0].version = opset
        model.functions.append(known[name])
    if used and not any(entry.domain == DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, int(VERSION)))


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """`custom_translation_table` for `torch.onnx.export`: the torch operators become the two nodes.

    Follow the export by `add_functions`. The hole must have the features' type, as the nodes' inputs do.
    """
    import onnxscript
    import torch

    import cuda_ext.ops  # noqa: F401  registers what is looked up below

    domain = onnxscript.values.Opset(DOMAIN, int(VERSION))
    nodes = {function.name: onnxscript.values.Op(domain, function.name, _schema(function)) for function in functions()}

    def patch_match(features: Any, hole: Any) -> Any:
        return nodes["PatchMatch"](features, hole, plugin_namespace=DOMAIN, plugin_version=VERSION)

    def patch_paste(features: Any, hole: Any, match: Any) -> Any:
        return nodes["PatchPaste"](features, hole, match, plugin_namespace=DOMAIN, plugin_version=VERSION)

    return {
        torch.ops.pix2rt.patch_match.default: patch_match,
        torch.ops.pix2rt.patch_paste.default: patch_paste,
    }


def _schema(function: FunctionProto) -> OpSchema:
    """What a function takes and gives, in the form that onnxscript asks for."""
    types = {"features": "T", "hole": "T", "match": "tensor(int32)", "output": "T"}
    return OpSchema(
        function.name,
        DOMAIN,
        int(VERSION),
        inputs=[OpSchema.FormalParameter(name, types[name]) for name in function.input],
        outputs=[OpSchema.FormalParameter(name, types[name]) for name in function.output],
        type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "")],
        attributes=[OpSchema.Attribute(n, OpSchema.AttrType.STRING) for n in ("plugin_namespace", "plugin_version")],
    )
