"""The TensorRT AOT plugins against a stand-in that records them."""

import importlib
import inspect
import re
import sys
from typing import Any

import pytest

from cuda_ext import onnx_functions
from tests.cuda_ext.tensorrt_stand_in import AutoTuneCombination, ShapeExpr, TensorDesc, stand_in, symbols

MATCH, PASTE = "pix2rt::PatchMatch", "pix2rt::PatchPaste"
SIZES = {"N": 2, "C": 70, "H": 13, "W": 29}


@pytest.fixture
def registered(monkeypatch):
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC is not installed; runs with pix2rt[cuda]")
    tensorrt, plugin, registered = stand_in()
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    monkeypatch.setitem(sys.modules, "tensorrt.plugin", plugin)
    monkeypatch.delitem(sys.modules, "cuda_ext.plugins", raising=False)
    importlib.import_module("cuda_ext.plugins")
    yield registered
    sys.modules.pop("cuda_ext.plugins", None)


def descriptions(dtype):
    count, channels, height, width = symbols("N", "C", "H", "W")
    one = ShapeExpr.of(1)
    features = TensorDesc(dtype, [count, channels, height, width])
    return features, TensorDesc(dtype, [count, one, height, width]), TensorDesc("int32", [count, height, width])


def numbers(expressions):
    return [ShapeExpr.of(getattr(e, "expression", e)).evaluate(SIZES) for e in expressions]


def test_both_operators_are_registered_whole(registered):
    names = {f"{onnx_functions.DOMAIN}::{function.name}" for function in onnx_functions.functions()}
    assert registered.describe.keys() == registered.types.keys() == registered.kernel.keys() == names


def test_annotations_that_tensorrt_refuses_are_refused_here():
    """What our plugins had: `list[Any]` of autotune; and other slips of that kind."""
    _, plugin, _ = stand_in()

    def describe(features: TensorDesc) -> TensorDesc: ...
    def any_types(features: TensorDesc, outputs: tuple[TensorDesc]) -> list[Any]: ...
    def bare_types(features: TensorDesc, outputs: TensorDesc) -> list[AutoTuneCombination]: ...
    def renamed(hole: TensorDesc, outputs: tuple[TensorDesc]) -> list[AutoTuneCombination]: ...
    def untyped(features): ...
    def short(features: TensorDesc, outputs: tuple[TensorDesc], tactic: int) -> tuple[str, str]: ...

    with pytest.raises(ValueError, match="refuses: argument features of untyped"):
        plugin.register("pix2rt::A")(untyped)
    with pytest.raises(ValueError, match="not registered"):
        plugin.autotune("pix2rt::A")(any_types)
    plugin.register("pix2rt::A")(describe)
    for register, function in (
        (plugin.autotune, any_types),
        (plugin.autotune, bare_types),
        (plugin.autotune, renamed),
        (plugin.aot_impl, short),
    ):
        with pytest.raises(ValueError, match="TensorRT's plugin layer refuses"):
            register("pix2rt::A")(function)


def test_inputs_are_those_of_the_functions(registered):
    for function in onnx_functions.functions():
        name = f"{onnx_functions.DOMAIN}::{function.name}"
        inputs = list(function.input)
        assert list(inspect.signature(registered.describe[name]).parameters) == inputs
        assert list(inspect.signature(registered.types[name]).parameters) == [*inputs, "outputs"]
        assert list(inspect.signature(registered.kernel[name]).parameters) == [*inputs, "outputs", "tactic"]
        assert all(p.annotation is TensorDesc for p in inspect.signature(registered.describe[name]).parameters.values())


def test_outputs(registered):
    features, hole, match = descriptions("float16")
    matched = registered.describe[MATCH](features, hole)
    assert matched.dtype == "int32"
    assert numbers(matched.shape_expr) == [2, 13, 29]
    pasted = registered.describe[PASTE](features, hole, match)
    assert (pasted.dtype, numbers(pasted.shape_expr)) == ("float16", [2, 70, 13, 29])


def test_types_go_together(registered):
    features, hole, match = descriptions("float32")
    assert [c.io_types for c in registered.types[MATCH](features, hole, ())] == [
        "FP32, FP32, INT32",
        "FP16, FP16, INT32",
    ]
    pastes = registered.types[PASTE](features, hole, match, ())
    assert [c.io_types for c in pastes] == ["FP32, FP32, INT32, FP32", "FP16, FP16, INT32, FP16"]
    assert {c.layouts for c in pastes} == {"LINEAR"}


@pytest.mark.parametrize(("dtype", "suffix"), [("float32", "fp32"), ("float16", "fp16")])
def test_launch(registered, dtype, suffix):
    """13×29 pixels are 3×3 tiles of 6×14 queries; 377 pixels are two blocks; 70 channels are three times 32."""
    features, hole, match = descriptions(dtype)
    expected = {
        MATCH: ("patch_match", (features, hole), [3, 3, 2]),
        PASTE: ("patch_paste", (features, hole, match), [2, 3, 2]),
    }
    for name, (kernel, inputs, grid) in expected.items():
        entry, ptx, launch, arguments = registered.kernel[name](*inputs, (), 0)
        assert entry == f"{kernel}_{suffix}"
        assert numbers([launch.grid_x, launch.grid_y, launch.grid_z]) == grid
        assert (launch.block_x, launch.block_y, launch.block_z, launch.shared_mem) == (256, 1, 1, 0)
        assert numbers(arguments) == [SIZES[axis] for axis in "CHW"]
        assert parameters(ptx, entry) == ["u64"] * len(inputs) + ["u32"] * 3 + ["u64"]
        assert "\0" not in ptx


def parameters(ptx, entry):
    """PTX types of a kernel's parameters: pointers are u64."""
    (text,) = re.findall(rf"\.entry {entry}\((.*?)\)", ptx, re.DOTALL)
    return re.findall(r"\.param \.(\w+)", text)
