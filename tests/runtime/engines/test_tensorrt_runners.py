"""Every runner and every command on plans gives the bytes that ONNX Runtime gives."""

import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import runtime
from runtime.commands import ASSETS
from runtime.engines.plan_builder import build_plan_file
from runtime.media.images import read_drawing, read_image, read_photo, write_image
from runtime.media.mask_images import read_hole_mask
from tests.paths import ROOT
from tests.runtime import tiny_engines, tiny_translators
from tests.runtime.engines.stand_in import MODULES
from tests.runtime.runners.test_runner import OPTIONS, RUNNERS, answer


@pytest.mark.parametrize("name", RUNNERS)
def test_runners(machine, tmp_path, name):
    runner, write = RUNNERS[name]
    options = OPTIONS.get(name, {})
    path = write(tmp_path / "e.onnx")
    with runner(path, "cuda", backend="tensorrt") as ours, runner(path, "cpu", backend="onnxruntime") as theirs:
        assert (ours.backend, ours.device, ours.skipped) == ("tensorrt", "cuda", ())
        for seed in range(4):
            found = answer(ours, options, seed)
            np.testing.assert_array_equal(found, answer(theirs, options, seed))
            assert not machine.owns(found)
        with ThreadPoolExecutor(8) as threads:
            for one in threads.map(lambda _: answer(ours, options), range(16)):
                np.testing.assert_array_equal(one, answer(theirs, options))


SHIPPED = {
    "edges2photo": (
        runtime.Translator,
        lambda r: r.run(read_image(asset("edges2photo_input.png"), 1, print).pixels),
    ),
    "inpaint": (
        runtime.Inpainter,
        lambda r: r.run(read_photo(asset("inpaint_photo.jpg")), read_hole_mask(asset("inpaint_mask.png"), print)),
    ),
    "faces": (
        runtime.SketchCompleter,
        lambda r: r.run(read_drawing(asset("faces_sketch.png")), iterations=5, restarts=2),
    ),
}


def asset(name):
    return ASSETS / name


@pytest.mark.parametrize(
    ("name", "flavor"),
    [
        *((name, "tensorrt") for name in ("edges2photo", "faces")),
        ("faces", "tensorrt-rtx"),
        pytest.param("inpaint", "tensorrt", marks=pytest.mark.nightly),
    ],
)
def test_engines_that_ship(machine, tmp_path, name, flavor):
    runner, run = SHIPPED[name]
    onnx = ASSETS / f"{name}.onnx"
    plan = build_plan_file(onnx, tmp_path / "e.engine", flavor=flavor).path
    with runner(plan) as ours, runner(onnx, "cpu", backend="onnxruntime", threads=1) as theirs:
        expected = run(theirs)
        for _ in range(2):
            np.testing.assert_array_equal(run(ours), expected)


def test_a_runner_of_a_plan_can_be_pickled(machine, tmp_path):
    onnx = tiny_engines.synthesizer(tmp_path / "e.onnx")
    plan = build_plan_file(onnx, tmp_path / "e.engine", flavor="tensorrt").path
    with runtime.Synthesizer(plan) as first, pickle.loads(pickle.dumps(first)) as second:
        assert (second.backend, second.device) == ("tensorrt", "cuda")
        np.testing.assert_array_equal(answer(first, {}), answer(second, {}))


def test_readmes_example(machine, tmp_path, monkeypatch):
    onnx = tiny_translators.translator(tmp_path / "day2night.onnx")
    build_plan_file(onnx, tmp_path / "day2night.engine", flavor="tensorrt")
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "runtime" / "README.md").read_text("utf-8")
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if 'backend="tensorrt"' in b)
    values = {}
    exec(compile(block, "runtime/README.md", "exec"), values)
    assert values["translator"].backend == "tensorrt"
    values["translator"].warm_up()
    values["translator"].close()


# Commands, in processes whose module search path begins with the stand-ins.


def pix2rt(tmp_path, *arguments, code=0, **environment):
    given = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(MODULES), str(ROOT))),
        "PIX2RT_CACHE": str(tmp_path / "cache"),
        **environment,
    }
    command = [sys.executable, "-m", "runtime", *map(str, arguments)]
    result = subprocess.run(
        command, cwd=tmp_path, env=given, capture_output=True, encoding="utf-8", errors="replace", timeout=120
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


def test_build_and_run(tmp_path):
    path = tiny_translators.translator(tmp_path / "t.onnx")
    rng = np.random.default_rng(0)
    write_image(tmp_path / "in.png", rng.integers(0, 256, (16, 32, 3), np.uint8))
    out = pix2rt(tmp_path, "build", path, "-o", "t.engine")
    assert "t.engine: tensorrt 11.4.0.106, GPU NVIDIA GeForce RTX 4090" in out
    pix2rt(tmp_path, "translate", "t.engine", "in.png", "-o", "plan.png")
    pix2rt(tmp_path, "translate", path, "in.png", "-o", "onnx.png", "--backend", "onnxruntime")
    assert (tmp_path / "plan.png").read_bytes() == (tmp_path / "onnx.png").read_bytes()
    facts = pix2rt(tmp_path, "info", "t.engine")
    assert "tensorrt on cuda" in facts
    assert "plan of tensorrt 11.4.0.106, GPU NVIDIA GeForce RTX 4090" in facts
    spec = json.loads(pix2rt(tmp_path, "info", "t.engine", "--json"))
    assert (spec["kind"], spec["tensorrt"]["flavor"]) == ("translator", "tensorrt")


def test_build_into_the_cache(tmp_path):
    path = tiny_translators.translator(tmp_path / "t.onnx")
    builds = tmp_path / "builds"
    out = pix2rt(tmp_path, "build", path, STAND_IN_BUILDS=str(builds))
    assert str(tmp_path / "cache") in out
    rng = np.random.default_rng(0)
    write_image(tmp_path / "in.png", rng.integers(0, 256, (16, 32, 3), np.uint8))
    arguments = ("translate", path, "in.png", "-o", "plan.png", "--backend", "tensorrt", "--device", "cuda")
    pix2rt(tmp_path, *arguments, STAND_IN_BUILDS=str(builds))
    assert len(builds.read_text().splitlines()) == 1


def test_bench(tmp_path):
    path = tiny_translators.translator(tmp_path / "t.onnx")
    pix2rt(tmp_path, "build", path, "-o", "t.engine")
    pix2rt(tmp_path, "bench", "t.engine", "--against", path, "--runs", "3", "--json", "report.json")
    (report,) = json.loads((tmp_path / "report.json").read_text())["reports"]
    assert [one["device"] for one in report["engines"]] == ["cuda", "cpu"]
    assert report["engines"][0]["backend"] == "tensorrt"
    assert report["engines"][1]["max_difference"] == 0


REFUSED = {
    "device": (("--device", "cpu"), "TensorRT plans are for NVIDIA GPUs"),
    "name": (("-o", "t.plan"), "ends in .engine"),
    "size": (("--max", "1024"), "--max '1024' is not BATCHxHEIGHTxWIDTH"),
    "flavour": (("--flavor", "openvino"), "'openvino' is not one of tensorrt, tensorrt-rtx"),
    "order": (("--min", "2x64x64", "--max", "1x64x64"), "must not decrease"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_build_refuses(tmp_path, case):
    arguments, message = REFUSED[case]
    path = tiny_translators.translator(tmp_path / "t.onnx", size=None)
    assert message in pix2rt(tmp_path, "build", path, *arguments, code=2)
    assert list(tmp_path.glob("*.engine*")) == []


def test_no_driver_is_said_without_a_traceback(tmp_path):
    path = tiny_translators.translator(tmp_path / "t.onnx")
    message = pix2rt(tmp_path, "build", path, code=2, STAND_IN_DRIVER="0")
    assert "no NVIDIA driver" in message
    assert "Traceback" not in message
