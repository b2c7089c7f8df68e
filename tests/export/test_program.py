"""Exported engines carry the program of their graph; what has none says so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.embedded_program import add_program
from export.errors import ExportError, NoProgramError
from export.onnx_from_checkpoint import export_onnx
from export.program_from_onnx import program_from_onnx
from runtime.engines.onnx_metadata import read_metadata, read_spec
from runtime.engines.program import PROGRAM_KEY, read_program
from runtime.errors import EngineFormatError, MissingFileError
from tests.export.conftest import SIZE, Tiny
from tests.export.reference import random_inputs, reference_bytes, run
from tests.export.test_pix2pix import in_mode
from tests.paths import ROOT
from tests.runtime.program_reference import run_file
from tests.tiny_models import ARCHITECTURES, TRANSLATORS, save_tiny_checkpoint
from tests.tolerances import FLOATS, GREY_LEVELS

MODES = ("per-image", "running-stats", "batch-stats")
VARIANTS = [(variant, None) for variant in ARCHITECTURES]
VARIANTS += [(variant, None) for variant, a in TRANSLATORS.items() if a.norm != "batch"]
VARIANTS += [(variant, mode) for variant, a in TRANSLATORS.items() if a.norm == "batch" for mode in MODES]

# Whose layers the others have, too.
NIGHTLY = [(variant, None) for variant in ("local", "global", "no_edges", "rgb", "unet_grey", "batch_norm")]
NIGHTLY += [one for one in VARIANTS if one[1] == "batch-stats" and one[0] != "unet"]
CASES = [pytest.param(*one, marks=pytest.mark.nightly) if one in NIGHTLY else one for one in VARIANTS]


@pytest.mark.parametrize("dynamic", [pytest.param(False, marks=pytest.mark.nightly), True])
@pytest.mark.parametrize(("variant", "mode"), CASES)
def test_program_gives_what_the_checkpoint_gives(
    variant: str, mode: str | None, dynamic: bool, tiny_engines: Tiny
) -> None:
    checkpoint = in_mode(variant, mode)
    engine = tiny_engines(variant, dynamic=dynamic, normalization=mode)[0]
    assert not engine.obstacle
    sizes = [(1, 16, 16), (2, 16, 32)] if dynamic else [(1, *SIZE)]
    for count, height, width in sizes:
        inputs = random_inputs(checkpoint, count, height, width)
        received = run_file(engine.path, inputs)[engine.spec.outputs[0].name]
        expected = reference_bytes(checkpoint, inputs)
        assert received.shape == expected.shape
        assert np.abs(received.astype(int) - expected).max() <= GREY_LEVELS["fp32"]


def test_program_of_the_style_encoder(tiny_engines: Tiny) -> None:
    encoder = tiny_engines("features")[1]
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    received = run_file(encoder.path, {"image": image})["feat_map"]
    assert np.abs(received - run(encoder, {"image": image})).max() <= FLOATS["engine"]


def test_what_the_layers_of_programs(tiny_engines: Tiny) -> None:
    """Coarse: labels are never encoded one by one, and neither padding nor a split is a layer."""
    path = tiny_engines("global")[0].path
    program, _ = read_program(path, read_spec(path)) or pytest.fail("no program")
    ops = [layer.op for layer in program.layers]
    assert ops[:4] == ["label_features", "conv", "instance_norm", "activation"]
    assert ops[-4:] == ["conv", "depth_to_space", "activation", "to_bytes"]
    first = program.layers[1]
    assert [name.rsplit(".", 1)[1] for name in first.initializers] == ["blocks", "rest"]
    assert (first.pads, first.pad_mode) == ((3, 3, 3, 3), "reflect")  # type: ignore[attr-defined]
    assert len(ops) == 20
    nodes = {node.op_type for node in onnx.load(path).graph.node}
    assert {"Pad", "Slice", "Equal", "Max"} <= nodes


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"precision": "fp16"}, "a program computes in fp32, the engine in fp16"),
        ({"options": {"stochastic": True}}, r"no layer of a program does what the node .* \("),
        ({"baseline": True}, "no layer of a program does what the node conv2d"),
    ],
)
def test_engines_without_a_program_say_why(options: dict[str, object], reason: str, tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint("unet", tmp_path / "c.safetensors")
    (engine,) = export_onnx(checkpoint, tmp_path / "e.onnx", size=SIZE, **options)  # type: ignore[arg-type]
    with pytest.raises(NoProgramError, match=reason) as error:
        program_from_onnx(onnx.load(engine.path), engine.spec)
    assert engine.obstacle == str(error.value)
    assert PROGRAM_KEY not in read_metadata(engine.path)


def without_program(path: Path, folder: Path) -> Path:
    """The engine as it was exported before there were programs."""
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key != PROGRAM_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    old = folder / "old.onnx"
    old.write_bytes(model.SerializeToString())
    return old


def test_an_old_engine_gets_its_program(tiny_engines: Tiny, tmp_path: Path) -> None:
    engine = tiny_engines("features")[0]
    old = without_program(engine.path, tmp_path)
    assert read_program(old, read_spec(old)) is None
    command = [sys.executable, "-m", "export", "program", str(old), "-o", str(tmp_path / "new.onnx")]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=300
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "a program of 37 layers" in " ".join(result.stdout.split())
    assert (tmp_path / "new.onnx").read_bytes() == engine.path.read_bytes()
    command[4] = str(tmp_path / "new.onnx")  # once more, in its own place
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=300, capture_output=True).returncode == 0
    assert (tmp_path / "new.onnx").read_bytes() == engine.path.read_bytes()


def test_what_gets_no_program(tiny_engines: Tiny, tmp_path: Path) -> None:
    noisy = tiny_engines("unet", stochastic=True)[0].path
    with pytest.raises(NoProgramError, match=r"can have no program: .*; ONNX Runtime runs it as it is"):
        add_program(noisy, tmp_path / "e.onnx")
    with pytest.raises(ExportError, match="ends in .onnx"):
        add_program(noisy, tmp_path / "e.engine")
    with pytest.raises(MissingFileError):
        add_program(tmp_path / "none.onnx", tmp_path / "e.onnx")
    content = tiny_engines("unet")[0].path.read_bytes()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content.replace(b"\x09LeakyRelu", b"\x7fLeakyRelu"))
    with pytest.raises(EngineFormatError, match="no whole ONNX file"):
        add_program(broken, tmp_path / "e.onnx")
    assert not (tmp_path / "e.onnx").exists()
