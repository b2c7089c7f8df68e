"""Checkpoints of the original project, imported and exported, against what the original networks gave."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from export.onnx_from_checkpoint import Exported, export_onnx
from tests.export.conftest import Once
from tests.export.reference import run
from tests.paths import GOLDEN, needs_golden
from tests.runtime.program_reference import run_file
from tests.tolerances import FLOATS, GREY_LEVELS
from training.checkpoint import save_checkpoint
from training.imports.nvidia_pix2pixhd import import_checkpoint

pytestmark = needs_golden

NAMES = ("pix2pixhd_global", "pix2pixhd_local", "pix2pixhd_local_features")


def golden_engines(name: str, made_once: Once) -> tuple[list[Exported], dict[str, NDArray[Any]]]:
    source = GOLDEN / name
    with np.load(source / "expected.npz") as archive:
        expected = dict(archive)

    def make(folder: Path) -> list[Exported]:
        files = {"encoder": "latest_net_E.pth", "styles": "features_clustered_010.npy", "opt": "opt.txt"}
        options = {key: source / file for key, file in files.items() if (source / file).is_file()}
        save_checkpoint(import_checkpoint(source / "latest_net_G.pth", **options), folder / "golden.safetensors")
        return export_onnx(folder / "golden.safetensors", folder / "golden.onnx", size=expected["label_map"].shape)

    return made_once(name, make), expected


def golden_inputs(engine: Exported, expected: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    inputs = {"label_map": expected["label_map"][None], "inst_map": expected["inst_map"][None]}
    styles = engine.spec.input("styles")
    if styles:
        _, first, compact = np.unique(expected["inst_map"], return_index=True, return_inverse=True)
        table = np.zeros(styles.shape, np.float32)
        table[0, : len(first)] = expected["feat_map"].reshape(len(expected["feat_map"]), -1)[:, first].T
        inputs |= {"inst_map": compact.reshape(inputs["inst_map"].shape).astype(np.int32), "styles": table}
    return inputs


def fake_image(engine: Exported, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The value before it becomes bytes, made an output."""
    model = onnx.load(engine.path)
    model.graph.output.append(onnx.helper.make_tensor_value_info("fake_image", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["fake_image"], inputs)[0][0]


@pytest.mark.parametrize("name", NAMES)
def test_engine_gives_what_the_original_network_gave(name: str, made_once: Once) -> None:
    engines, expected = golden_engines(name, made_once)
    inputs = golden_inputs(engines[0], expected)
    image = fake_image(engines[0], inputs)
    np.testing.assert_allclose(image, expected["output"], rtol=0, atol=FLOATS["engine"])
    bytes_ = run(engines[0], inputs)[0]
    assert np.abs(bytes_.astype(int) - expected["output_uint8"]).max() <= GREY_LEVELS["fp32"]
    values = run_file(engines[0].path, inputs)  # of the program
    np.testing.assert_allclose(values["fake_image"][0], expected["output"], rtol=0, atol=FLOATS["engine"])
    assert np.abs(values["image"][0].astype(int) - expected["output_uint8"]).max() <= GREY_LEVELS["fp32"]


def test_encoder_engine_gives_the_original_instance_features(made_once: Once) -> None:
    (_, encoder), expected = golden_engines("pix2pixhd_local_features", made_once)
    inputs = {"image": expected["real_image"][None]}
    for features in (run(encoder, inputs)[0], run_file(encoder.path, inputs)["feat_map"][0]):
        for instance in np.unique(expected["inst_map"]):
            pixels = expected["inst_map"] == instance
            mean = features[:, pixels].mean(axis=1)
            np.testing.assert_allclose(mean, expected["feat_map"][:, pixels][:, 0], rtol=0, atol=FLOATS["engine"])
