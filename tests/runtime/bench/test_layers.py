"""`bench --layers`: the steps of a native engine, added up, against the peak."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runtime import __main__
from runtime.bench.inputs import input_from_image
from runtime.bench.layers import Layers, _grouped, profile
from runtime.engines.native_engine import Timing
from runtime.engines.onnx_metadata import read_spec
from runtime.native.library import instruction_sets, missing_reason
from tests.paths import ROOT
from tests.runtime import tiny_translators

EDGES = ROOT / "runtime" / "assets" / "edges2photo.onnx"
needs_kernels = pytest.mark.skipif(missing_reason() is not None, reason=str(missing_reason()))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 128), np.uint8)).save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(__main__.app, ["bench", *map(str, arguments)], env={"COLUMNS": "140"})


def test_steps_that_are_alike_are_one():
    timings = [Timing("a", 0.25, 10), Timing("b", 1.0, 0), Timing("a", 0.5, 20)]
    assert _grouped(timings) == (Layers("b", 1, 1.0, 0), Layers("a", 2, 0.75, 30))
    assert _grouped(timings)[1].operations_per_s == 80


@needs_kernels
def test_the_products_are_those_of_the_network(image):
    found = profile(EDGES, input_from_image(read_spec(EDGES), image, print), 2, threads=1)
    spec = read_spec(EDGES)
    macs = spec.cost.macs * 64 * 128 / (spec.cost.size[0] * spec.cost.size[1])
    assert sum(one.products for one in found.layers) == pytest.approx(macs, rel=0.01)
    assert (found.threads, found.instruction_set) == (1, instruction_sets()[0])
    assert 1e8 < found.peak < 1e13
    seconds = [one.seconds for one in found.layers]
    assert seconds == sorted(seconds, reverse=True)
    assert found.seconds == sum(seconds) > 0


@needs_kernels
def test_the_command(image, tmp_path):
    result = run(EDGES, "--layers", "--image", image, "--runs", "2", "--json", tmp_path / "layers.json")
    assert result.exit_code == 0, result.output
    assert "conv_transpose 4x4 /2 16+16->3 64x128" in result.output
    report = json.loads((tmp_path / "layers.json").read_text())
    assert {"step", "count", "seconds", "products"} == set(report["layers"][0])


def test_what_does_not_go_together(tmp_path, image):
    for arguments, words in (
        (("--against", EDGES), "--layers looks into one engine at one size"),
        (("--backend", "onnxruntime"), "native kernels on the CPU; leave out --backend and --device"),
        (("--device", "cuda"), "native kernels on the CPU; leave out --backend and --device"),
    ):
        result = run(EDGES, "--layers", *arguments)
        assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


@needs_kernels
def test_an_engine_without_a_program_says_so(tmp_path, image):
    result = run(tiny_translators.translator(tmp_path / "t.onnx"), "--layers", "--runs", "1")
    assert result.exit_code != 0
    assert "carries no program for native kernels" in result.stderr
