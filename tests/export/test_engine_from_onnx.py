"""TensorRT-RTX really builds every engine, on a machine without a GPU too."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest

from export.engine_from_onnx import Profile, engine_from_onnx
from runtime.engines.plan import Shape
from runtime.engines.spec import parse_spec
from runtime.errors import DeviceError, EngineFormatError, InputError, MissingFileError, PlanError
from tests.export.conftest import Tiny
from tests.export.test_command_line import export

ENGINES = [
    ("local", "fp32", False, 0),
    ("local", "fp16", False, 0),
    ("rgb", "fp32", False, 0),
    ("features", "fp32", False, 0),
    ("features", "fp32", False, 1),
    ("features", "fp32", True, 0),
    ("features", "fp16", True, 0),
    ("features", "fp16", True, 1),
]
TRANSLATORS = [  # variant, precision, dynamic, normalisation, stochastic
    ("unet", "fp32", False, "per-image", False),
    pytest.param("unet", "fp32", True, "per-image", False, marks=pytest.mark.nightly),
    pytest.param("unet", "fp32", True, "batch-stats", False, marks=pytest.mark.nightly),
    ("unet", "fp16", False, "running-stats", False),
    ("unet_grey", "fp16", False, None, False),
    ("resnet", "fp32", True, "batch-stats", False),
    ("resnet_bilinear", "fp32", False, None, False),
    pytest.param("unet", "fp32", False, None, True, marks=pytest.mark.nightly),
    pytest.param("unet", "fp32", True, None, True, marks=pytest.mark.nightly),
    pytest.param("resnet", "fp16", True, None, True, marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("variant", "precision", "dynamic", "index"), ENGINES)
def test_plan_is_built_and_described(
    variant: str, precision: str, dynamic: bool, index: int, tiny_engines: Tiny, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    engine = tiny_engines(variant, precision, dynamic)[index]
    profile = Profile((1, 16, 16), (1, 32, 64), (2, 64, 64)) if dynamic else None
    plan = engine_from_onnx(engine.path, tmp_path / "e.engine", flavor="tensorrt-rtx", profile=profile)
    text = (tmp_path / "e.engine.json").read_text()
    document = json.loads(text)["tensorrt"]
    assert parse_spec(text, "e.engine.json") == engine.spec
    assert document["flavor"] == plan.origin.flavor == "tensorrt-rtx"
    assert document["onnx_sha256"] == hashlib.sha256(engine.path.read_bytes()).hexdigest()
    assert document["plan_sha256"] == hashlib.sha256(plan.path.read_bytes()).hexdigest()
    assert plan.origin.activation_bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.engine", "e.engine.json"]


@pytest.mark.parametrize(("variant", "precision", "dynamic", "mode", "stochastic"), TRANSLATORS)
def test_every_translator_is_built(
    variant: str, precision: str, dynamic: bool, mode: str | None, stochastic: bool, tiny_engines: Tiny, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    engine = tiny_engines(variant, precision, dynamic, mode, stochastic)[0]
    profile = Profile((1, 16, 16), (1, 32, 64), (2, 64, 64)) if dynamic else None
    plan = engine_from_onnx(engine.path, tmp_path / "e.engine", flavor="tensorrt-rtx", profile=profile)
    assert parse_spec((tmp_path / "e.engine.json").read_text(), "e.engine.json") == engine.spec
    assert plan.origin.activation_bytes


def test_default_profile_fits_the_multiple(tiny_engines: Tiny) -> None:
    spec = tiny_engines("features", dynamic=True)[0].spec
    profile = Profile.default(spec)
    assert profile == Profile((1, 8, 8), (1, 512, 1024), (1, 1024, 2048))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, None), Profile((1, 8, 8), (1, 512, 1024), (1, 1024, 2048))),
        ((None, None, (1, 256, 512)), Profile((1, 8, 8), (1, 256, 512), (1, 256, 512))),  # below the default's best
        ((None, None, (4, 1024, 1024)), Profile((1, 8, 8), (1, 512, 1024), (4, 1024, 1024))),
        ((None, None, (1, 4, 4)), Profile((1, 4, 4), (1, 4, 4), (1, 4, 4))),
        ((None, (2, 256, 256), None), Profile((1, 8, 8), (2, 256, 256), (2, 1024, 2048))),
        ((None, (1, 2048, 2048), None), Profile((1, 8, 8), (1, 2048, 2048), (1, 2048, 2048))),
        (((2, 1024, 1024), None, None), Profile((2, 1024, 1024), (2, 1024, 1024), (2, 1024, 2048))),
        (((1, 16, 16), None, (1, 64, 64)), Profile((1, 16, 16), (1, 64, 64), (1, 64, 64))),
    ],
)
def test_a_part_of_a_profile_is_completed(
    given: tuple[Shape | None, ...], expected: Profile, tiny_engines: Tiny
) -> None:
    assert Profile.completed(tiny_engines("features", dynamic=True)[0].spec, *given) == expected


def test_the_largest_size_alone_builds_a_plan(tiny_engines: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    engine = tiny_engines("rgb", "fp16", dynamic=True)[0].path
    words = ["engine", engine, "--flavor", "tensorrt-rtx", "--max", "1x64x64", "-o", tmp_path / "e.engine"]
    result = export(*words)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "e.engine").stat().st_size > 0


def test_unknown_operator_is_named_with_the_parsers_words(tiny_engines: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    model = onnx.load(tiny_engines("local")[0].path)
    tanh = next(node for node in model.graph.node if node.op_type == "Tanh")
    tanh.op_type = "Tangent"
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(PlanError, match="cannot parse .*Tangent"):
        engine_from_onnx(tmp_path / "foreign.onnx", tmp_path / "e.engine", flavor="tensorrt-rtx")
    assert not list(tmp_path.glob("e.*"))


def test_missing_flavor_says_what_to_install(
    tiny_engines: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)  # as if it were not installed
    with pytest.raises(DeviceError, match="tensorrt is not installed; pip install tensorrt"):
        engine_from_onnx(tiny_engines("local")[0].path, tmp_path / "e.engine", flavor="tensorrt")


def test_unfitting_requests_are_refused(tiny_engines: Tiny, tmp_path: Path) -> None:
    static, dynamic = tiny_engines("features")[0].path, tiny_engines("features", dynamic=True)[0].path
    output = tmp_path / "e.engine"
    with pytest.raises(InputError, match="fixed size 32x48"):
        engine_from_onnx(static, output, profile=Profile((1, 8, 8), (1, 8, 8), (1, 8, 8)))
    with pytest.raises(InputError, match="must not decrease"):
        engine_from_onnx(dynamic, output, profile=Profile((1, 16, 16), (1, 8, 8), (1, 32, 32)))
    with pytest.raises(InputError, match="multiples of 4"):
        engine_from_onnx(dynamic, output, profile=Profile((1, 8, 8), (1, 10, 8), (1, 32, 32)))
    with pytest.raises(InputError, match=r"ends in \.engine"):
        engine_from_onnx(static, tmp_path / "e.plan")
    with pytest.raises(InputError, match="'openvino' is not one of"):
        engine_from_onnx(static, output, flavor="openvino")
    with pytest.raises(MissingFileError):
        engine_from_onnx(tmp_path / "none.onnx", output)
    (tmp_path / "foreign.onnx").write_bytes(b"no ONNX")
    with pytest.raises(EngineFormatError):
        engine_from_onnx(tmp_path / "foreign.onnx", output)
