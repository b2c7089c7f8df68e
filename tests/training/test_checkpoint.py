"""The checkpoint file: round trip, damage of every kind, and a write that a kill cannot spoil."""

import copy
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from runtime.engines.labels import LabelSpec
from runtime.errors import MissingFileError, OutputError
from tests.paths import ROOT
from training.checkpoint import METADATA_KEY, Checkpoint, load_checkpoint, load_strict, save_checkpoint, sha256_of
from training.errors import CheckpointError
from training.networks.pix2pixhd import Architecture, build

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ARCHITECTURE = Architecture(4, True, 2, 4, 1, 1, 1, 1, 4, 1)


def make(step: int = 7) -> Checkpoint:
    torch.manual_seed(step)
    networks = {name: dict(module.state_dict()) for name, module in build(ARCHITECTURE).items()}
    styles = {0: torch.randn(3, 2), 3: torch.randn(1, 2)}
    return Checkpoint("pix2pixhd", ARCHITECTURE, networks, LabelSpec.unnamed(4), styles, step=step)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "good.safetensors"
    save_checkpoint(make(), path)
    return path


def document_of(path: Path) -> dict:
    with safe_open(path, framework="pt") as archive:
        return json.loads(archive.metadata()[METADATA_KEY])


def rewritten(good: Path, path: Path, document: object) -> Path:
    save_file(
        load_file(good), path, metadata={METADATA_KEY: document if isinstance(document, str) else json.dumps(document)}
    )
    return path


def test_round_trip(good):
    original, loaded = make(), load_checkpoint(good)
    for field in ("family", "architecture", "labels", "normalization", "step", "version"):
        assert getattr(loaded, field) == getattr(original, field)
    for name, state in original.networks.items():
        assert loaded.networks[name].keys() == state.keys()
        assert all(torch.equal(value, loaded.networks[name][key]) for key, value in state.items())
    assert loaded.styles.keys() == original.styles.keys()
    assert all(torch.equal(value, loaded.styles[key]) for key, value in original.styles.items())


def test_built_networks_are_ready_for_inference(good):
    networks = load_checkpoint(good).build()
    assert set(networks) == {"generator", "encoder"}
    for module in networks.values():
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())


def test_half_and_strided_tensors_are_stored_as_float32(tmp_path):
    checkpoint = make()
    checkpoint.styles = {1: torch.randn(2, 3).half().T}
    save_checkpoint(checkpoint, tmp_path / "a.safetensors")
    stored = load_checkpoint(tmp_path / "a.safetensors").styles[1]
    assert stored.dtype == torch.float32
    assert torch.equal(stored, checkpoint.styles[1].float())


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.1.bias"), r"missing head\.1\.bias \[3\]"),
        (lambda s: s.update(more=torch.zeros(2)), r"unexpected more \[2\]"),
        (lambda s: s.update({"head.1.bias": torch.zeros(4)}), r"head\.1\.bias is \[4\], expected \[3\]"),
        (lambda s: s.clear(), r"missing trunk\.1\.weight(.|\n)*… \d+ more"),
    ],
)
def test_weights_load_wholly_or_not_at_all(change, message):
    module = build(ARCHITECTURE)["generator"]
    before = copy.deepcopy(module.state_dict())
    state = {name: value + 1 for name, value in before.items()}
    change(state)
    with pytest.raises(CheckpointError, match=message):
        load_strict(module, state, "generator")
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_network_that_is_not_there(good):
    checkpoint = load_checkpoint(good)
    del checkpoint.networks["encoder"]
    with pytest.raises(CheckpointError, match="no network 'encoder'; it holds generator"):
        checkpoint.build()


# --- files that are no checkpoint


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(MissingFileError, match="directory"):
        load_checkpoint(tmp_path)


def test_truncation_at_any_length(good, tmp_path):
    content = good.read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in sorted({*range(0, len(content), max(1, len(content) // 100)), *range(12), len(content) - 1}):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            load_checkpoint(path)


def test_foreign_files(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="another project"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "latest_net_G.pth")
    with pytest.raises(CheckpointError, match="python -m export import"):
        load_checkpoint(tmp_path / "latest_net_G.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2, "version": "9.9"}, r"format 2, .*reads up to 1.*pix2rt 9\.9: upgrade"),
        ({"family": "stylegan"}, "unknown family 'stylegan'"),
        ({"family": "../vgg"}, "unknown family"),
        ({"normalization": "none"}, "normalization 'none' is not one of"),
        ({"labels": {"names": ["a"], "palette": []}}, "0 palette colours for 1 class names"),
        ({"step": "many"}, "damaged metadata"),
        ({"architecture": {"ngf": 10**9}}, "ngf is 1000000000, expected an integer from 0 to"),
        ({"architecture": {"n_blocks": 10**30}}, "n_blocks"),
        ({"architecture": {"depth": 3}}, "depth"),
        ({"architecture": 5}, "damaged metadata"),
    ],
)
def test_tampered_metadata(good, tmp_path, change, message):
    path = rewritten(good, tmp_path / "a.safetensors", document_of(good) | change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "field", ["format_version", "family", "architecture", "labels", "normalization", "step", "version"]
)
def test_missing_metadata_field(good, tmp_path, field):
    document = document_of(good)
    del document[field]
    with pytest.raises(CheckpointError, match=f"field '{field}' is missing"):
        load_checkpoint(rewritten(good, tmp_path / "a.safetensors", document))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "[" * 5000, '{"format_version": 1e999}'])
def test_metadata_that_is_no_document(good, tmp_path, text):
    with pytest.raises(CheckpointError):
        load_checkpoint(rewritten(good, tmp_path / "a.safetensors", text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("format_version", "family", "architecture", "labels", "normalization", "step", "version")


@given(field=st.sampled_from(FIELDS), inner=st.sampled_from([None, "ngf", "names", "palette", "label_nc"]), value=JSON)
@FUZZ
def test_any_metadata_gives_our_errors_only(good, tmp_path, field, inner, value):
    document = document_of(good)
    if inner and isinstance(document[field], dict):
        document[field][inner] = value
    else:
        document[field] = value
    path = rewritten(good, tmp_path / "a.safetensors", document)
    with suppress(CheckpointError):
        load_checkpoint(path).build()


HUGE = """
import resource
from training.errors import CheckpointError
from training.checkpoint import Checkpoint
from training.networks.pix2pixhd import Architecture
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try:
    Checkpoint("pix2pixhd", Architecture(ngf=1024, n_downsample=8), {"generator": {}}).build()
except CheckpointError as error:
    print(error)
"""


def test_an_architecture_of_terabytes_is_compared_before_it_is_allocated():
    """Each number is within its limit, and a file of a few kilobytes can name them."""
    result = subprocess.run(
        [sys.executable, "-c", HUGE],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "missing trunk.1.weight" in result.stdout


def test_foreign_style_name(good, tmp_path):
    tensors = load_file(good) | {"styles.road": torch.zeros(1, 2)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={METADATA_KEY: json.dumps(document_of(good))})
    with pytest.raises(CheckpointError, match="road"):
        load_checkpoint(tmp_path / "a.safetensors")


@given(flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), min_size=1, max_size=3))
@FUZZ
def test_flipped_header_bytes_give_our_errors_only(good, tmp_path, flips):
    content = bytearray(good.read_bytes())
    for position, difference in flips:
        content[position] ^= difference
    (tmp_path / "a.safetensors").write_bytes(content)
    with suppress(CheckpointError):
        load_checkpoint(tmp_path / "a.safetensors").build()


# --- atomic writing


def test_a_failed_write_leaves_the_previous_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_checkpoint(make(1), path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        save_checkpoint(make(2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal
from tests.training.test_checkpoint import make
from training.checkpoint import save_checkpoint
os.fsync = lambda stream: os.kill(os.getpid(), signal.SIGKILL)
save_checkpoint(make(2), {path!r})
"""


def test_a_kill_between_write_and_rename_leaves_the_previous_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(make(1), path)
    before = path.read_bytes()
    program = KILLED.format(path=str(path))
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(list(tmp_path.iterdir())) == 2  # the new file was written whole, beside the old one
    assert path.read_bytes() == before
    assert load_checkpoint(path).step == 1


def test_unwritable_targets(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save_checkpoint(make(), tmp_path / "file" / "a.safetensors")
    with pytest.raises(OutputError, match="is a directory"):
        save_checkpoint(make(), tmp_path)
