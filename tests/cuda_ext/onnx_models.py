"""ONNX models of patch-swap for the tests."""

import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from cuda_ext import onnx_functions

OPSET = 20


def swap_model(shape: tuple[int | str, int | str, int | str, int | str], dtype: int = TensorProto.FLOAT) -> ModelProto:
    """features, hole → output, match."""
    count, _, height, width = shape
    inputs = [
        helper.make_tensor_value_info("features", dtype, shape),
        helper.make_tensor_value_info("hole", dtype, (count, 1, height, width)),
    ]
    outputs = [
        helper.make_tensor_value_info("output", dtype, shape),
        helper.make_tensor_value_info("output_match", TensorProto.INT32, (count, height, width)),
    ]
    nodes = onnx_functions.patch_swap_nodes("features", "hole", "output")
    graph = helper.make_graph(nodes, "patch_swap", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx_functions.add_functions(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
