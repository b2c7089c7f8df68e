"""Plans of full TensorRT, which cannot be installed where the tests run: what is asked of a stand-in of its builder."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from export.engine_from_onnx import engine_from_onnx
from runtime.errors import DeviceError
from tests.cuda_ext.tensorrt_stand_in import Registered, stand_in
from tests.export.conftest import Tiny
from tests.export.test_inpainting import tiny_checkpoint
from training.checkpoint import save_checkpoint

PLUGINS = {"pix2rt::PatchMatch", "pix2rt::PatchPaste"}


class Config:
    def __init__(self) -> None:
        self.cleared: list[str] = []

    def clear_flag(self, flag: str) -> None:
        self.cleared.append(flag)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> bytes:
        return serialized_timing_cache

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        return True

    def get_timing_cache(self) -> None:
        return None


class Builder:
    """Notes what was registered when the network was parsed, and every configuration."""

    on_start: Callable[[Any], None] = staticmethod(lambda logger: None)
    configs: ClassVar[list[Config]]

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.on_start(logger)

    def create_network(self, flags: int) -> int:
        return flags

    def create_builder_config(self) -> Config:
        self.configs.append(Config())
        return self.configs[-1]

    def build_serialized_network(self, network: int, config: Config) -> bytes:
        return b"plan"


@pytest.fixture
def tensorrt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[type[Builder], Registered, list[set[str]]]]:
    module, plugin, registered = stand_in()
    parsed: list[set[str]] = []

    class Recorded(Builder):
        configs: ClassVar[list[Config]] = []

    class Parser:
        num_errors = 0

        def __init__(self, network: int, logger: Any) -> None:
            assert network == 1 << 1

        def parse_from_file(self, path: str) -> bool:
            parsed.append(set(registered.kernel))
            return True

    module.__version__ = "11.4.0"
    module.ILogger, module.Builder, module.OnnxParser, module.IProgressMonitor = object, Recorded, Parser, object
    monkeypatch.setattr("runtime.engines.plan_builder.gpu_for", lambda flavor, index: "NVIDIA GeForce RTX 4090")
    monkeypatch.setenv("PIX2RT_CACHE", str(tmp_path / "plans"))
    module.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    module.BuilderFlag = SimpleNamespace(TF32="TF32")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setitem(sys.modules, "tensorrt.plugin", plugin)
    monkeypatch.delitem(sys.modules, "cuda_ext.plugins", raising=False)
    yield Recorded, registered, parsed
    sys.modules.pop("cuda_ext.plugins", None)


@pytest.fixture(scope="module")
def inpainter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.onnx_from_checkpoint import export_onnx

    folder = tmp_path_factory.mktemp("inpainter")
    save_checkpoint(tiny_checkpoint(), folder / "c.safetensors")
    export_onnx(folder / "c.safetensors", folder / "e.onnx", size=(64, 64))
    return folder / "e.onnx"


def test_patch_swap_is_registered_before_the_graph_is_parsed(tensorrt, inpainter: Path, tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC is not installed; runs with pix2rt[cuda]")
    plan = engine_from_onnx(inpainter, tmp_path / "e.engine")
    assert (plan.origin.flavor, plan.path.read_bytes()) == ("tensorrt", b"plan")
    assert tensorrt[2] == [PLUGINS]


def test_other_graphs_need_no_plugins(tensorrt, tiny_engines: Tiny, tmp_path: Path) -> None:
    engine_from_onnx(tiny_engines("no_edges")[0].path, tmp_path / "e.engine")
    assert tensorrt[2] == [set()]


def test_without_nvrtc_the_kernels_are_missed_aloud(
    tensorrt, inpainter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DeviceError, match=r"e\.onnx has patch-swap.*NVRTC.*pip install pix2rt\[tensorrt,cuda\]"):
        engine_from_onnx(inpainter, tmp_path / "e.engine")
    assert not list(tmp_path.glob("e.*"))


@pytest.mark.parametrize(("precision", "cleared"), [("fp32", ["TF32"]), ("fp16", [])])
def test_tf32_is_off_where_fp32_was_promised(
    precision: str, cleared: list[str], tensorrt, tiny_engines: Tiny, tmp_path: Path
) -> None:
    engine_from_onnx(tiny_engines("no_edges", precision)[0].path, tmp_path / "e.engine")
    assert [config.cleared for config in tensorrt[0].configs] == [cleared]


@pytest.mark.parametrize("kind", ["null pointer", "error in the log"])
def test_a_builder_that_cannot_start_is_never_touched(kind: str, tensorrt, tiny_engines: Tiny, tmp_path: Path) -> None:
    """Without a driver: a null pointer that the binding refuses, or an object that ends the process when it is used."""

    def fail(logger: Any) -> None:
        logger.log(SimpleNamespace(name="ERROR"), "CUDA initialization failure with error: 35")
        if kind == "null pointer":
            raise TypeError("pybind11::init(): factory function returned nullptr")

    tensorrt[0].on_start = staticmethod(fail)
    with pytest.raises(DeviceError, match=r"TensorRT 11\.4\.0 cannot build on this machine: CUDA init.* error: 35"):
        engine_from_onnx(tiny_engines("no_edges")[0].path, tmp_path / "e.engine")
    assert not tensorrt[0].configs
