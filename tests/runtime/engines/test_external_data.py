"""An engine is one file: tensors in other files are refused before anything loads them, wherever a graph holds them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runtime import Synthesizer
from runtime.errors import EngineFormatError
from tests.runtime import tiny_engines
from tests.runtime.engines.test_engine_files import LABELS, _varint


def moved_out(tensor):
    """The same tensor, its bytes said to lie in `weights.bin`."""
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(len(tensor.raw_data)))):
        tensor.external_data.add(key=key, value=value)
    tensor.ClearField("raw_data")


def initializer(model):
    moved_out(next(tensor for tensor in model.graph.initializer if tensor.raw_data))


def constant(model):
    value = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "value")
    node = helper.make_node("Constant", [], ["unused"], value=value)
    moved_out(node.attribute[0].t)
    model.graph.node.append(node)


def branch(model):
    inner = helper.make_graph(
        [],
        "inner",
        [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, [3])],
        [onnx.numpy_helper.from_array(np.zeros(3, np.float32), "inside")],
    )
    moved_out(inner.initializer[0])
    model.graph.node.append(helper.make_node("If", ["zero"], ["unused"], then_branch=inner, else_branch=inner))


def function(model):
    value = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "value")
    node = helper.make_node("Constant", [], ["unused"], value=value)
    moved_out(node.attribute[0].t)
    model.functions.append(helper.make_function("own", "F", [], ["unused"], [node], [helper.make_opsetid("", 20)]))


def training(model):
    info = model.training_info.add()
    info.algorithm.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "step"))
    moved_out(info.algorithm.initializer[0])


def initialization(model):
    info = model.training_info.add()
    info.initialization.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "start"))
    moved_out(info.initialization.initializer[0])


def sparse_indices(model):
    values = onnx.numpy_helper.from_array(np.ones(1, np.float32), "few")
    indices = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "where")
    moved_out(indices)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))


@pytest.mark.parametrize("place", [initializer, constant, branch, function, training, initialization, sparse_indices])
def test_tensors_in_another_file_are_refused(tmp_path, place):
    path = tiny_engines.synthesizer(tmp_path / "e.onnx")
    model = onnx.load(path, load_external_data=False)
    place(model)
    path.write_bytes(model.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    for engine in (path, path.read_bytes()):
        with pytest.raises(EngineFormatError, match="a tensor lies in another file, but an engine is one file"):
            Synthesizer(engine)


def test_deep_nesting_ends(tmp_path):
    """Deeper than any library of protocol buffers writes or reads."""

    def field(number, content):
        return bytes([number << 3 | 2]) + _varint(len(content)) + content

    graph = b""
    for _ in range(40):
        graph = field(1, field(5, field(6, graph)))  # a node with an attribute that is a graph
    path = tiny_engines.synthesizer(tmp_path / "e.onnx")
    path.write_bytes(path.read_bytes() + field(7, graph))
    with pytest.raises(EngineFormatError, match="nested more than 32 deep"):
        Synthesizer(path)


def test_engines_of_one_file_run(tmp_path):
    assert Synthesizer(tiny_engines.synthesizer(tmp_path / "e.onnx")).run(LABELS).shape == (*LABELS.shape, 3)
