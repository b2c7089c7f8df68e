"""Traces a `Graph` into one clean ONNX model: named tensors, named axes, no traces of the machine it was made on."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir
import torch
from torch import Tensor

from cuda_ext.onnx_functions import add_functions, translations
from export.errors import ExportError
from export.inference_modules import MAX_INSTANCES, Graph
from runtime.engines.spec import TensorSpec
from runtime.version import __version__

OPSET = 20
MAX_BYTES = 2**31 - 2**20  # protobuf's limit for one file, less room for the specification
_TORCH_DTYPES = {"uint8": torch.uint8, "int32": torch.int32, "float32": torch.float32}
_ONNX_DTYPES = {"uint8": onnx.TensorProto.UINT8, "int32": onnx.TensorProto.INT32, "float32": onnx.TensorProto.FLOAT}


def torch_to_onnx(graph: Graph, size: tuple[int, int] | None) -> onnx.ModelProto:
    """Export `graph` at a fixed N = 1 and size [H, W], or with free N, H, W and K where `size` is None.

    Raises:
        ExportError: the weights exceed what one ONNX file can hold.
    """
    program = _trace(graph, size)
    weights = sum(value.const_value.nbytes for value in program.model.graph.initializers.values() if value.const_value)
    if weights > MAX_BYTES:
        raise ExportError(
            f"the weights take {weights:,} bytes, one ONNX file holds at most {MAX_BYTES:,}; "
            "export with --precision fp16"
        )
    _clean(program.model)
    if graph.fake_image:
        _name_last_tanh(program.model, "fake_image")
    model = program.model_proto
    add_functions(model)
    _declare(model.graph.input, static_tensors(graph.inputs, size))
    _declare(model.graph.output, static_tensors(graph.outputs, size))
    return model


def static_tensors(tensors: tuple[TensorSpec, ...], size: tuple[int, int] | None) -> tuple[TensorSpec, ...]:
    """The tensors with sizes in the place of axis names; unchanged where `size` is None."""
    if size is None:
        return tensors
    sizes = {"N": 1, "H": size[0], "W": size[1], "K": MAX_INSTANCES}
    return tuple(TensorSpec(t.name, t.dtype, tuple(_static(axis, sizes) for axis in t.shape)) for t in tensors)


def _static(axis: int | str, sizes: dict[str, int]) -> int:
    """The size of an axis: a number, a name, or a part such as "H/4"."""
    if isinstance(axis, int):
        return axis
    name, _, divisor = axis.partition("/")
    return sizes[name] // int(divisor or 1)


def _trace(graph: Graph, size: tuple[int, int] | None) -> torch.onnx.ONNXProgram:
    # N = 2 and unequal sides: torch takes sizes of 1, and equal sizes, for properties of the network.
    least = max(graph.smallest_side, 2 * graph.size_multiple)
    trace_size = size or (least, least + graph.size_multiple)
    axes = {"N": 1 if size else 2, "H": trace_size[0], "W": trace_size[1], "K": MAX_INSTANCES}
    with _quiet():
        program = torch.onnx.export(
            graph.module,
            tuple(_blank(tensor, axes) for tensor in graph.inputs),
            input_names=[tensor.name for tensor in graph.inputs],
            output_names=[tensor.name for tensor in graph.outputs],
            opset_version=OPSET,
            dynamo=True,
            custom_translation_table=translations(),
            verbose=False,
            dynamic_shapes=None if size else _dynamic_shapes(graph),
        )
    if program is None:
        raise ExportError(
            f"{graph.kind}: torch.onnx.export returned no model; use the torch version of constraints.txt"
        )
    return program


def _blank(tensor: TensorSpec, axes: dict[str, int]) -> Tensor:
    shape = [axis if isinstance(axis, int) else axes[axis] for axis in tensor.shape]
    return torch.zeros(shape, dtype=_TORCH_DTYPES[tensor.dtype])


def _dynamic_shapes(graph: Graph) -> tuple[object, ...]:
    multiple = graph.size_multiple
    least = graph.smallest_side // multiple
    dims: dict[int | str, object] = {
        "N": torch.export.Dim("N"),
        "H": multiple * torch.export.Dim("h", min=least),
        "W": multiple * torch.export.Dim("w", min=least),
        "K": torch.export.Dim("K"),
    }
    return tuple({i: dims[axis] for i, axis in enumerate(t.shape) if isinstance(axis, str)} for t in graph.inputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own dependencies, which nobody can act on."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _clean(model: onnx_ir.Model) -> None:
    """Drop stack traces, paths and tracing notes, so that the file tells nothing of the machine and bytes repeat."""
    model.producer_name, model.producer_version = "pix2rt", __version__
    model.doc_string, model.graph.doc_string, model.graph.name = None, None, "pix2rt"
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        values += node.outputs
    for value in values:
        value.metadata_props.clear()
        value.doc_string = None


def _name_last_tanh(model: onnx_ir.Model, name: str) -> None:
    tanh = [node for node in model.graph if node.op_type == "Tanh"]
    tanh[-1].outputs[0].name = name


def _declare(values: object, tensors: tuple[TensorSpec, ...]) -> None:
    """Check the names and dtypes of the graph's ends, and give dynamic axes their names."""
    for value, tensor in zip(values, tensors, strict=True):  # type: ignore[call-overload]
        if value.name != tensor.name or value.type.tensor_type.elem_type != _ONNX_DTYPES[tensor.dtype]:
            raise ExportError(f"the exporter made {value.name!r} where {tensor.dtype} {tensor.name!r} was expected")
        value.CopyFrom(onnx.helper.make_tensor_value_info(tensor.name, _ONNX_DTYPES[tensor.dtype], tensor.shape))
