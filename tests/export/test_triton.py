"""Model repositories for Triton: read by its client's own messages, and held against what ONNX Runtime finds in the
file, as the server does when it loads a model.
"""

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import InferInput, model_config_pb2
from tritonclient.utils import triton_to_np_dtype
from typer.testing import CliRunner

from export.__main__ import app
from export.errors import ExportError
from export.triton import Serving, triton_model
from runtime import Translator
from runtime.engines.engine import engine_spec
from runtime.engines.names import engine_path
from runtime.errors import InputError
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators

SHIPPED = ("edges2photo", "inpaint", "faces", "street")
ORT_TYPES = {"uint8": "tensor(uint8)", "int32": "tensor(int32)", "float32": "tensor(float)"}


def read(folder):
    return text_format.Parse((folder / "config.pbtxt").read_text("utf-8"), model_config_pb2.ModelConfig())


def numpy_type(data_type):
    return np.dtype(triton_to_np_dtype(model_config_pb2.DataType.Name(data_type).removeprefix("TYPE_")))


def full_dims(config, tensor):
    return [-1, *tensor.dims] if config.max_batch_size else list(tensor.dims)


def warm_up_arrays(config):
    (warm_up,) = config.model_warmup
    batch = [warm_up.batch_size] if config.max_batch_size else []
    return {
        name: np.zeros([*batch, *one.dims], numpy_type(one.data_type))
        for name, one in warm_up.inputs.items()
        if one.zero_data
    }


def require_servable(folder, version=1):
    """What the server checks when it loads a model, and its warm-up."""
    config = read(folder)
    assert config.name == folder.name
    assert config.platform == "onnxruntime_onnx"
    session = onnxruntime.InferenceSession(folder / str(version) / "model.onnx", providers=["CPUExecutionProvider"])
    for told, found in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [tensor.name for tensor in told] == [tensor.name for tensor in found]
        for tensor, real in zip(told, found, strict=True):
            assert ORT_TYPES[numpy_type(tensor.data_type).name] == real.type
            assert full_dims(config, tensor) == [axis if isinstance(axis, int) else -1 for axis in real.shape]
    outputs = session.run(None, warm_up_arrays(config))
    for tensor, array in zip(config.output, outputs, strict=True):
        assert array.dtype == numpy_type(tensor.data_type)
        assert all(dim in (-1, size) for dim, size in zip(full_dims(config, tensor), array.shape, strict=True))
    return config


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_engines(tmp_path, name):
    config = require_servable(triton_model(engine_path(name), tmp_path, Serving(instances=2, device="cpu", threads=1)))
    assert model_config_pb2.ModelInstanceGroup.Kind.Name(config.instance_group[0].kind) == "KIND_CPU"
    assert config.instance_group[0].count == 2
    assert config.parameters["intra_op_thread_count"].string_value == "1"
    assert config.parameters["pix2rt.kind"].string_value == engine_spec(engine_path(name)).kind


@pytest.mark.parametrize(
    ("make", "batch"),
    [
        (lambda path: tiny_engines.synthesizer(path, styles=True), 0),
        (lambda path: tiny_engines.synthesizer(path, size=None, batch="N"), 6),
        (lambda path: tiny_translators.translator(path, size=None, batch="N"), 6),
        (lambda path: tiny_inpainters.inpainter(path), 0),
        (lambda path: tiny_completers.completer(path), 0),
    ],
)
def test_engines_with_a_free_batch_are_batched(tmp_path, make, batch):
    engine = make(tmp_path / "engine.onnx")
    config = require_servable(triton_model(engine, tmp_path / "models", Serving(max_batch=6, delay_us=500)))
    assert config.max_batch_size == batch
    assert config.HasField("dynamic_batching") == bool(batch)
    assert config.dynamic_batching.max_queue_delay_microseconds == (500 if batch else 0)


def test_images_that_see_their_neighbours_are_not_batched(tmp_path):
    engine = tiny_translators.translator(tmp_path / "a.onnx", size=None, batch="N", normalization="batch-stats")
    assert read(triton_model(engine, tmp_path / "models", Serving())).max_batch_size == 0


def test_a_client_sends_bytes_and_gets_the_librarys(tmp_path):
    """Inputs as tritonclient packs them, run by what the server runs."""
    folder = triton_model(engine_path("edges2photo"), tmp_path, Serving())
    config, image = read(folder), np.random.default_rng(0).integers(0, 256, (64, 64, 1), dtype=np.uint8)
    batch = image[None]
    packed = InferInput(config.input[0].name, batch.shape, "UINT8")
    packed.set_data_from_numpy(batch)
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    sent = np.frombuffer(packed._get_content(), np.uint8).reshape(packed.shape())
    (answer,) = session.run([config.output[0].name], {packed.name(): sent})
    with Translator("edges2photo", backend="onnxruntime") as translator:
        assert np.array_equal(answer[0], translator.run(image))


def test_versions_stand_side_by_side_and_none_is_overwritten(tmp_path):
    engine = tiny_translators.translator(tmp_path / "a.onnx")
    folder = triton_model(engine, tmp_path / "models", Serving(), name="day2night")
    triton_model(engine, tmp_path / "models", Serving(), name="day2night", version=2)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "config.pbtxt"]
    require_servable(folder, 2)
    with pytest.raises(ExportError, match="is there already; give another --version"):
        triton_model(engine, tmp_path / "models", Serving(), name="day2night")


def test_what_cannot_be_a_model_is_refused(tmp_path):
    engine = tiny_translators.translator(tmp_path / "a.onnx")
    with pytest.raises(InputError, match="--name is 'a/b'"):
        triton_model(engine, tmp_path / "models", Serving(), name="a/b")
    with pytest.raises(InputError, match="--device is 'tpu'"):
        Serving(device="tpu")
    assert not (tmp_path / "models").exists()


def test_the_command(tmp_path):
    models = tmp_path / "models"
    result = CliRunner().invoke(app, ["triton", "edges2photo", "-o", str(models), "--device", "gpu"])
    assert result.exit_code == 0, result.output
    assert f"tritonserver --model-repository={models}" in result.output
    assert "KIND_GPU" in (models / "edges2photo" / "config.pbtxt").read_text()
    again = CliRunner().invoke(app, ["triton", "edges2photo", "-o", str(models)])
    assert again.exit_code != 0
