"""Pictures with holes: masks, what fills them and the match of patches, against numpy, in every instruction set."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from runtime.engines.native_engine import NativeEngine
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import PROGRAM_KEY, Program
from runtime.engines.program_holes import HoleMask, PatchMatch, PatchPaste, SmoothFill, ToMatch
from runtime.engines.program_layers import Activation, AveragePool, Conv, FromBytes, MaxPool, ToFloats, Upsample
from runtime.engines.spec import TensorSpec
from runtime.errors import EngineFormatError, InputError
from tests.runtime import tiny_programs
from tests.runtime.native.programs import AROUND, NONE, ONE, SETS, needs_kernels, open_native, worst
from tests.runtime.program_reference import run_program

pytestmark = needs_kernels
HOLE = HoleMask(("hole_mask",), "hole")
FLOATS = FromBytes(("photo",), "floats", 2 / 255, -1.0)


def save_holes(path, layers, weights, shape, **outputs):
    """An engine file from `photo` [N, H, W, C] and `hole_mask`; `outputs` are dtype and shape by name."""
    photo = TensorSpec("photo", "uint8", ("N", "H", "W", shape[3]))
    changes = {
        "inputs": (photo, tiny_programs.HOLE_SPEC.inputs[1]),
        "outputs": tuple(TensorSpec(name, *output) for name, output in outputs.items()),
        "size_multiple": 1,
        "smallest_side": 1,
    }
    spec = replace(tiny_programs.HOLE_SPEC, **changes)
    program = Program(tuple(layers))
    tiny_programs.engine(path, program, spec, weights)
    return program


def test_every_layer_of_holes(tmp_path):
    path, inputs = tiny_programs.holes_engine(tmp_path / "e.onnx"), tiny_programs.holes()
    expected = run_program(tiny_programs.HOLES, tiny_programs.HOLE_WEIGHTS, inputs)
    is_known = inputs["hole_mask"] == 0
    for kernels in SETS:
        results = [open_native(path, threads, kernels).run(inputs) for threads in (1, 2, 8)]
        received = results[0]
        assert all(np.array_equal(received[name], other[name]) for other in results[1:] for name in received)
        np.testing.assert_array_equal(received["match"], expected["match"])
        assert worst(received["features out"], expected["features out"]) < 1e-5
        difference = np.abs(received["completed"].astype(int) - expected["completed"])
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01
        np.testing.assert_array_equal(received["completed"][is_known], inputs["photo"][is_known])
        for one in range(2):
            single = open_native(path, 2, kernels).run({name: array[one : one + 1] for name, array in inputs.items()})
            np.testing.assert_array_equal(single["completed"][0], received["completed"][one])


def swap(channels, outputs):
    """Layers and weights from a photo to features, their match and what it pastes."""
    layers = (
        FLOATS,
        HOLE,
        Conv(("floats",), "features", ("w",), None, ONE, ONE, NONE, "zero"),
        Activation(("features",), "relu", "relu"),
        PatchMatch(("relu", "hole"), "found"),
        PatchPaste(("relu", "hole", "found"), "swapped"),
        ToMatch(("found",), "match"),
        ToFloats(("swapped",), "out"),
    )
    weight = np.random.default_rng(1).normal(0, 1, (outputs, channels, 1, 1)).astype(np.float32)
    return layers, {"w": weight}


# Size of the photo, channels of the features, what is missing: image, top, left, height and width of rectangles.
SWAPS = {
    "in the middle": ((1, 19, 23, 3), 20, [(0, 6, 7, 5, 8)]),
    "at the border": ((1, 17, 18, 2), 3, [(0, 0, 0, 3, 18), (0, 15, 16, 2, 2)]),
    "thin and far apart": (
        (2, 40, 41, 3),
        8,
        [(0, 3, 3, 1, 30), (0, 9, 20, 25, 1), (1, 39, 40, 1, 1)],
    ),
    "nothing missing": ((1, 9, 9, 1), 4, []),
    "everything missing": ((1, 9, 9, 1), 4, [(0, 0, 0, 9, 9)]),
    "all but one patch": ((1, 9, 10, 3), 17, [(0, 3, 0, 6, 10), (0, 0, 3, 3, 7)]),
    "too small for a patch": ((1, 2, 30, 3), 4, [(0, 0, 3, 1, 1)]),
    "one pixel": ((1, 1, 1, 1), 1, [(0, 0, 0, 1, 1)]),
    "wider than a row of keys": ((1, 5, 300, 3), 5, [(0, 2, 200, 2, 70)]),
    "higher than a part": ((1, 90, 9, 2), 16, [(0, 40, 2, 20, 4)]),
    "several tiles": ((1, 150, 40, 3), 8, [(0, 10, 3, 130, 30)]),
}


def photo_of(kind, shape):
    photo = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    if kind == "stripes":  # patches come again and again: the first of them is the match
        photo[:] = np.tile(photo[:, :, :3], (1, 1, shape[2] // 3 + 1, 1))[:, :, : shape[2]]
    return photo


def inputs_of(kind, shape, rectangles):
    mask = np.zeros(shape[:3], np.uint8)
    for image, top, left, height, width in rectangles:
        mask[image, top : top + height, left : left + width] = 7
    return {"photo": photo_of(kind, shape), "hole_mask": mask}


@pytest.mark.parametrize("kind", ["noise", "stripes"])
@pytest.mark.parametrize("name", SWAPS)
def test_patch_swap(tmp_path, name, kind):
    shape, features, rectangles = SWAPS[name]
    inputs = inputs_of(kind, shape, rectangles)
    layers, weights = swap(shape[3], features)
    outputs = {"match": ("int32", ("N", "H", "W")), "out": ("float32", ("N", features, "H", "W"))}
    program = save_holes(tmp_path / "e.onnx", layers, weights, shape, **outputs)
    expected = run_program(program, weights, inputs)
    for kernels in SETS:
        results = [open_native(tmp_path / "e.onnx", threads, kernels).run(inputs) for threads in (1, 2, 7)]
        np.testing.assert_array_equal(results[0]["match"], expected["match"])
        assert worst(results[0]["out"], expected["out"]) < 1e-5
        assert all(np.array_equal(results[0][key], other[key]) for other in results[1:] for key in outputs)


def matches(folder, run):
    """Every case once, for the sanitizers."""
    for name, (shape, features, rectangles) in SWAPS.items():
        layers, weights = swap(shape[3], features)
        outputs = {"match": ("int32", ("N", "H", "W")), "out": ("float32", ("N", features, "H", "W"))}
        path = folder / f"{name}.onnx"
        save_holes(path, layers, weights, shape, **outputs)
        run(path, read_spec(path), inputs_of("noise", shape, rectangles))


def test_what_is_not_finite_counts_as_nothing(tmp_path):
    """Features of NaN, of infinity and beyond 1e15 are copied as they are, but no match looks at them."""
    shape, _, rectangles = SWAPS["in the middle"]
    inputs = inputs_of("noise", shape, rectangles)
    inputs["photo"][0, 1:5, 1:5] = 255
    layers, weights = swap(3, 3)
    weights["w"][:] = np.array([[1, 1, 1], [1e18, 0, 0], [3e38, 3e38, 0]], np.float32)[..., None, None]
    outputs = {"match": ("int32", ("N", "H", "W")), "out": ("float32", ("N", 3, "H", "W"))}
    program = save_holes(tmp_path / "e.onnx", layers, weights, shape, **outputs)
    with np.errstate(over="ignore"):
        expected = run_program(program, weights, inputs)
    for kernels in SETS:
        received = open_native(tmp_path / "e.onnx", 2, kernels).run(inputs)
        np.testing.assert_array_equal(received["match"], expected["match"])
        assert np.isinf(received["out"]).any()


SIZES = [(1, 16, 24), (2, 8, 8), (1, 40, 16)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("levels", "spread"), [(1, 0), (2, 2), (3, 16)])
def test_smooth_fill(tmp_path, size, levels, spread):
    shape = (*size, 3)
    fill = SmoothFill(("floats", "hole"), "filled", levels, spread, 1e-3)
    layers = (FLOATS, HOLE, fill, ToFloats(("filled",), "out"))
    program = save_holes(tmp_path / "e.onnx", layers, {}, shape, out=("float32", ("N", 3, "H", "W")))
    for rectangles in ([(0, 3, 2, 4, 5)], [(0, 0, 0, *size[1:])], []):
        inputs = inputs_of("noise", shape, rectangles)
        expected = run_program(program, {}, inputs)["out"]
        for kernels in SETS:
            results = [open_native(tmp_path / "e.onnx", n, kernels).run(inputs)["out"] for n in (1, 3)]
            assert worst(results[0], expected) < 1e-5
            assert np.array_equal(*results)


def test_masks_are_pooled_and_enlarged_as_any_value(tmp_path):
    shape = (2, 14, 22, 1)
    layers = (
        HOLE,
        AveragePool(("hole",), "mean", (3, 3), (2, 2), AROUND),
        MaxPool(("mean",), "most", (2, 3), (1, 2), NONE),
        Upsample(("most",), "linear", 3, "linear"),
        Upsample(("linear",), "nearest", 2, "nearest"),
        ToFloats(("nearest",), "out"),
    )
    program = save_holes(tmp_path / "e.onnx", layers, {}, shape, out=("float32", ("N", 1, "h", "w")))
    inputs = inputs_of("noise", shape, [(0, 3, 2, 4, 5), (1, 0, 10, 14, 3)])
    expected = run_program(program, {}, inputs)["out"]
    for kernels in SETS:
        assert worst(open_native(tmp_path / "e.onnx", 2, kernels).run(inputs)["out"], expected) < 1e-6


def test_the_match_takes_little_memory(tmp_path):
    """At most a twentieth of all scores, of which there would be a billion bytes here."""
    shape = (1, 128, 128, 64)
    layers = (FLOATS, HOLE, PatchMatch(("floats", "hole"), "found"), ToMatch(("found",), "match"))
    save_holes(tmp_path / "e.onnx", layers, {}, shape, match=("int32", ("N", "H", "W")))
    engine = open_native(tmp_path / "e.onnx", 2)
    inputs = inputs_of("noise", shape, [(0, 32, 32, 64, 64)])
    engine.run(inputs)
    (plan,) = [plan for shapes, plan in engine._plans.items() if shapes[0] == shape]
    features = 4 * np.prod(shape)
    scores = 4 * 66**2 * (126**2 - 66**2)
    assert plan.size - features < scores / 20


def test_damaged_programs_of_holes_raise_and_never_crash(tmp_path):
    """Bits of the program flip, or names and numbers change places: an error of ours, or a picture."""
    path = tiny_programs.holes_engine(tmp_path / "e.onnx")
    content, inputs, spec = path.read_bytes(), tiny_programs.holes(), read_spec(path)
    text = tiny_programs.HOLES.to_json()
    at = content.index(text.encode())
    rng = random.Random(0)
    document = json.loads(text)
    names = [layer["output"] for layer in document["layers"]] + list(inputs)
    outcomes = {"ran": 0, "refused": 0}
    for index in range(1500):
        changed = bytearray(content)
        if index % 2:
            changed[at + rng.randrange(len(text))] ^= 1 << rng.randrange(8)
        else:
            layers = json.loads(text)["layers"]
            layer = rng.choice(layers)
            layer["inputs"][rng.randrange(len(layer["inputs"]))] = rng.choice(names)
            other = json.dumps({"format": 2, "layers": layers})
            if len(other) > len(text):
                continue
            changed[at : at + len(text)] = other.ljust(len(text)).encode()
        damaged = tmp_path / f"damaged{index % 2}.onnx"
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(changed)
        try:
            image = NativeEngine(damaged, spec, 2).run(inputs)["completed"]
            assert image.shape == inputs["photo"].shape
            outcomes["ran"] += 1
        except (EngineFormatError, InputError):
            outcomes["refused"] += 1
    assert PROGRAM_KEY.encode() in content
    assert min(outcomes.values()) > 30, outcomes
