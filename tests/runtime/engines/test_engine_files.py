"""Engine files: what is read of them, and everything that may be wrong with them."""

import json
import struct
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Pix2rtError, StyleEncoder, Synthesizer, Translator
from runtime.engines.engine import open_engine
from runtime.engines.onnx_metadata import read_metadata, read_spec
from runtime.engines.spec import SPEC_KEY, TensorSpec
from runtime.errors import EngineFormatError, MissingFileError
from tests.examples import drawn
from tests.runtime import tiny_engines, tiny_translators

LABELS = np.zeros(tiny_engines.SIZE, np.uint8)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return tiny_engines.synthesizer(tmp_path_factory.mktemp("engine") / "tiny.onnx", styles=True)


def test_specification_and_foreign_entries(tmp_path):
    spec = tiny_engines.synthesizer_spec(styles=True)
    metadata = {"author": "Zoë", SPEC_KEY: spec.to_json(), "empty": ""}
    path = tiny_engines.save(tmp_path / "e.onnx", spec, *tiny_engines.synthesizer_graph(spec), metadata=metadata)
    assert read_metadata(path) == metadata
    assert read_spec(path) == spec


def test_metadata_before_the_graph(tmp_path, engine):
    """Fields may come in any order: two serialised halves, the metadata first."""
    model = onnx.load(engine)
    first = onnx.ModelProto(metadata_props=model.metadata_props)
    model.ClearField("metadata_props")
    path = tmp_path / "e.onnx"
    path.write_bytes(first.SerializeToString() + model.SerializeToString())
    assert read_spec(path) == read_spec(engine)
    assert Synthesizer(path).run(LABELS, LABELS).shape == (*tiny_engines.SIZE, 3)


def test_a_large_engine_is_read_without_its_weights(tmp_path, engine):
    """A sparse file whose graph claims 1 TB: only seeking can be this quick."""
    content = engine.read_bytes()
    metadata = onnx.ModelProto(ir_version=10, metadata_props=onnx.load(engine).metadata_props).SerializeToString()
    path = tmp_path / "large.onnx"
    size = 2**40
    with path.open("wb") as stream:
        stream.write(bytes([7 << 3 | 2]) + _varint(size))
        stream.seek(size, 1)
        stream.write(metadata)
    assert read_spec(path) == read_spec(engine)
    assert len(content) < 10_000


def _varint(value):
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


HOSTILE = {
    "empty": (b"", "it is empty"),
    "text": (b"hello world, this is no engine", "no whole ONNX file"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no whole ONNX file"),
    "zeros": (bytes(1000), "field number 0"),
    "a safetensors file": (struct.pack("<Q", 2) + b"{}", "no whole ONNX file"),
    "a field beyond the end": (bytes([7 << 3 | 2]) + _varint(2**40), "beyond the end"),
    "a length of 2^63": (bytes([7 << 3 | 2]) + _varint(2**63), "beyond the end"),
    "an endless number": (b"\xff" * 30, "longer than ten bytes"),
    "an unfinished number": (b"\x08\xff", "inside a number"),
    "no graph": (b"\x08\x0a", "no graph"),
    "endless fields": (b"\x08\x0a" * 1_200_000, "more than 1000000"),
    "metadata that is no text": (bytes([14 << 3 | 2, 4, 1 << 3 | 2, 2, 0xFF, 0xFE]), "not text"),
    "an entry that overruns": (bytes([14 << 3 | 2, 2, 1 << 3 | 2, 9]) + bytes(20), "beyond the end"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_are_no_onnx(tmp_path, name):
    content, message = HOSTILE[name]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineFormatError, match=message) as caught:
        Synthesizer(path)
    assert str(path) in str(caught.value)


def test_metadata_of_absurd_size(tmp_path):
    path = tmp_path / "bad.onnx"
    with path.open("wb") as stream:
        stream.write(bytes([14 << 3 | 2]) + _varint(2**30))
        stream.seek(2**30, 1)
        stream.write(b"\0")
    with pytest.raises(EngineFormatError, match="larger than 64 MiB"):
        read_spec(path)


def test_paths(tmp_path, engine):
    with pytest.raises(MissingFileError, match=r"nothing\.onnx does not exist"):
        Synthesizer(tmp_path / "nothing.onnx")
    with pytest.raises(MissingFileError, match="is a directory"):
        Synthesizer(tmp_path)
    for suffix, message in (
        (".engine", r"no specification beside it: .*x\.engine\.json does not exist.*pix2rt build"),
        (".pth", "unknown kind of file '.pth'"),
    ):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(engine.read_bytes())
        with pytest.raises(EngineFormatError, match=message):
            Synthesizer(path)
    assert Synthesizer(str(engine)).spec.kind == "synthesizer"


def test_an_onnx_of_another_project(tmp_path):
    spec = tiny_engines.synthesizer_spec()
    path = tiny_engines.save(tmp_path / "e.onnx", spec, *tiny_engines.synthesizer_graph(spec), metadata={"a": "b"})
    with pytest.raises(EngineFormatError, match=r"no pix2rt specification.*python -m export onnx"):
        Synthesizer(path)


def with_spec(path, engine, spec):
    """A copy of `engine` that claims to be `spec` (an EngineSpec, or any text)."""
    model = onnx.load(engine)
    onnx.helper.set_model_props(model, {SPEC_KEY: spec if isinstance(spec, str) else spec.to_json()})
    onnx.save(model, path)
    return path


def test_specifications_that_cannot_be_read(tmp_path, engine):
    document = json.loads(read_spec(engine).to_json())
    broken = {
        "no JSON object": "{",
        "no JSON object .*a list": "[]",
        "no format_version": "{}",
        "reads up to 1; upgrade pix2rt": json.dumps({**document, "format_version": 2}),
        "field 'kind' is missing": json.dumps({k: v for k, v in document.items() if k != "kind"}),
        "damaged specification": json.dumps({**document, "size_multiple": 0}),
        "classes": json.dumps({**document, "labels": {"names": [], "palette": []}}),
        "dtype": json.dumps({**document, "inputs": [{"name": "label_map", "dtype": "bool", "shape": [1]}]}),
    }
    for message, text in broken.items():
        with pytest.raises(EngineFormatError, match=message):
            Synthesizer(with_spec(tmp_path / "e.onnx", engine, text))


def test_engines_of_another_kind(tmp_path, engine):
    with pytest.raises(EngineFormatError, match="is a 'synthesizer' engine, expected 'style_encoder'"):
        StyleEncoder(engine)
    with pytest.raises(EngineFormatError, match="is a 'synthesizer' engine, expected 'translator'"):
        Translator(engine)
    with pytest.raises(EngineFormatError, match="is a 'style_encoder' engine, expected 'synthesizer'"):
        Synthesizer(tiny_engines.style_encoder(tmp_path / "e.onnx"))
    path = with_spec(tmp_path / "k.onnx", engine, replace(read_spec(engine), kind="teleporter"))
    with pytest.raises(EngineFormatError, match=r"of kind 'teleporter'.*upgrade"):
        open_engine(path)


def _changed(spec, **changes):
    """`spec` with other input tensors: name → TensorSpec."""
    return replace(spec, inputs=tuple(changes.get(tensor.name, tensor) for tensor in spec.inputs))


SPEC = tiny_engines.synthesizer_spec(styles=True)
TAMPERED = {
    "a size the graph does not have": tiny_engines.synthesizer_spec(styles=True, size=(16, 40)),
    "a dynamic size": tiny_engines.synthesizer_spec(styles=True, size=None),
    "a batch": tiny_engines.synthesizer_spec(styles=True, batch=2),
    "a missing input": tiny_engines.synthesizer_spec(inst=True),
    "a size that is no multiple": replace(SPEC, size_multiple=5),
    "size and tensors at odds": replace(SPEC, size=(8, 8)),
    "no class table": replace(SPEC, labels=None),
    "another dtype": _changed(SPEC, inst_map=TensorSpec("inst_map", "int64", (1, 16, 32))),
    "another name": _changed(SPEC, inst_map=TensorSpec("ids", "int32", (1, 16, 32))),
    "no label map": replace(SPEC, inputs=SPEC.inputs[1:]),
    "an input twice": replace(SPEC, inputs=SPEC.inputs + SPEC.inputs[:1]),
    "features at odds with the bank": _changed(SPEC, styles=TensorSpec("styles", "float32", (1, "K", 7))),
    "styles without instances": replace(SPEC, inputs=(SPEC.inputs[0], SPEC.inputs[2])),
    "styles of unknown length": _changed(SPEC, styles=TensorSpec("styles", "float32", (1, "K", "F"))),
    "a tensor of petabytes": _changed(SPEC, styles=TensorSpec("styles", "float32", (1, 2**31 - 1, 2))),
    "another output": replace(SPEC, outputs=(TensorSpec("photo", "uint8", (1, 16, 32, 3)),)),
    "an output of another shape": replace(SPEC, outputs=(TensorSpec("image", "uint8", (1, 16, 32, 4)),)),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_specification_that_does_not_fit_the_graph(tmp_path, engine, name):
    with pytest.raises(EngineFormatError, match=r"tampered|makes no sense"):
        Synthesizer(with_spec(tmp_path / "e.onnx", engine, TAMPERED[name]))


TRANSLATOR = tiny_translators.spec(seed=True, size=(16, 32), batch=1)
IMAGE, SEED = TRANSLATOR.inputs
TAMPERED_TRANSLATORS = {
    "no image": replace(TRANSLATOR, inputs=(SEED,)),
    "no seed": replace(TRANSLATOR, inputs=(IMAGE,)),
    "seeds of another batch": _changed(TRANSLATOR, seed=TensorSpec("seed", "int32", (2,))),
    "seeds of a free batch": _changed(TRANSLATOR, seed=TensorSpec("seed", "int32", ("N",))),
    "seeds of another dtype": _changed(TRANSLATOR, seed=TensorSpec("seed", "int64", (1,))),
    "a class table's input": replace(TRANSLATOR, inputs=(IMAGE, SEED, TensorSpec("label_map", "uint8", (1, 16, 32)))),
    "floats": _changed(TRANSLATOR, image=TensorSpec("image", "float32", (1, 16, 32, 3))),
    "other channels": _changed(TRANSLATOR, image=TensorSpec("image", "uint8", (1, 16, 32, 1))),
    "unknown channels": _changed(TRANSLATOR, image=TensorSpec("image", "uint8", (1, 16, 32, "C"))),
    "another size": _changed(TRANSLATOR, image=TensorSpec("image", "uint8", (1, 16, 40, 3))),
    "a free size": replace(TRANSLATOR, size=None),
    "another output": replace(TRANSLATOR, outputs=(TensorSpec("image", "uint8", (1, 16, 32, 3)),)),
    "output of another size": replace(TRANSLATOR, outputs=(TensorSpec("translation", "uint8", (1, 32, 64, 3)),)),
    "output of another batch": replace(TRANSLATOR, outputs=(TensorSpec("translation", "uint8", (2, 16, 32, 3)),)),
    "output of unknown channels": replace(TRANSLATOR, outputs=(TensorSpec("translation", "uint8", (1, 16, 32, "C")),)),
    "another normalisation": replace(TRANSLATOR, normalization="none of them"),
    "styles": replace(TRANSLATOR, styles=tiny_engines.BANK),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED_TRANSLATORS)
def test_a_translator_that_does_not_fit_its_graph(tmp_path, name):
    whole = tiny_translators.translator(tmp_path / "whole.onnx", seed=True, size=(16, 32), batch=1)
    assert Translator(whole).run(np.zeros((16, 32, 3), np.uint8), seed=1).any()
    with pytest.raises(EngineFormatError, match=r"tampered|makes no sense"):
        Translator(with_spec(tmp_path / "e.onnx", whole, TAMPERED_TRANSLATORS[name]))


@pytest.mark.parametrize("channels", ["C", -3, 0])
def test_a_baseline_of_unknown_channels(tmp_path, channels):
    whole = tiny_translators.baseline(tmp_path / "whole.onnx")
    spec = read_spec(whole)
    document = json.loads(spec.to_json())
    document["inputs"][0]["shape"][1] = channels
    with pytest.raises(EngineFormatError, match=r"makes no sense|damaged specification"):
        open_engine(with_spec(tmp_path / "e.onnx", whole, json.dumps(document)))


def test_an_output_that_is_not_what_the_specification_says(tmp_path):
    """The graph leaves the output's size open and gives half the rows: noticed when it runs."""
    spec = tiny_translators.spec()
    nodes, constants = tiny_translators.graph(spec)
    nodes[-1].output[0] = "whole"
    nodes.append(onnx.helper.make_node("Slice", ["whole", "from", "to", "rows"], ["translation"]))
    constants += [("from", np.array([0])), ("to", np.array([8])), ("rows", np.array([1]))]
    translator = Translator(tiny_engines.save(tmp_path / "e.onnx", spec, nodes, constants))
    with pytest.raises(
        EngineFormatError, match=r"translation is uint8 \[1, 8, 16, 3\], expected uint8 \[1, 16, 16, 3\]"
    ):
        translator.run(np.zeros((16, 16, 3), np.uint8))


def test_operators_that_the_runtime_lacks(tmp_path):
    spec = tiny_engines.synthesizer_spec()
    nodes, constants = tiny_engines.synthesizer_graph(spec)
    path = tiny_engines.save(tmp_path / "e.onnx", spec, nodes, constants)
    model = onnx.load(path)
    model.graph.node[0].op_type = "Casting"
    onnx.save(model, path)
    with pytest.raises(EngineFormatError, match=r"operators this onnxruntime lacks.*Casting"):
        Synthesizer(path)


@pytest.mark.parametrize(("name", "damaged"), [(b"\x12\x01K", b"\x12\x01\xcb"), (b"styles", b"style\xcb")])
def test_names_that_are_no_text(tmp_path, engine, name, damaged):
    """onnxruntime loads such a graph and fails when its inputs are listed."""
    path = tmp_path / "e.onnx"
    graph, metadata = engine.read_bytes().split(SPEC_KEY.encode())
    assert name in graph
    path.write_bytes(graph.replace(name, damaged) + SPEC_KEY.encode() + metadata)
    with pytest.raises(EngineFormatError, match=r"damaged: its graph has the name .*xcb.*expected UTF-8"):
        Synthesizer(path)


def open_and_run(path):
    """Whether the engine worked; anything but a Pix2rtError fails the test."""
    try:
        Synthesizer(path, device="cpu", threads=1).run(LABELS, LABELS)
    except Pix2rtError:
        return False
    return True


def test_every_truncation_is_noticed(tmp_path, engine):
    content = engine.read_bytes()
    path = tmp_path / "e.onnx"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert not open_and_run(path), f"{length} of {len(content)} bytes passed as an engine"


@settings(max_examples=drawn(500), deadline=None)
@given(st.data())
def test_flipped_bytes_never_escape_the_hierarchy(tmp_path_factory, engine, data):
    content = bytearray(engine.read_bytes())
    reach = min(4096, len(content))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, reach - 1)) - reach * data.draw(st.integers(0, 1))
        content[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(content)
    open_and_run(path)
