"""Programs: what is read of a document, and everything that may be wrong with it, or with the file around it."""

import copy
import json
import mmap
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from runtime.engines.initializers import Initializer, find_initializers
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.program import parse_program, read_program
from runtime.engines.program_layers import OPS, Upsample
from runtime.errors import EngineFormatError, UnknownProgramError
from tests.examples import drawn
from tests.paths import ROOT
from tests.runtime import tiny_programs, tiny_search
from tests.runtime.tiny_programs import HOLE_SPEC, HOLES, PROGRAM, SHAPES, SPEC, WEIGHTS

ASSETS = ROOT / "runtime" / "assets"
DOCUMENT = json.loads(PROGRAM.to_json())


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return tiny_programs.engine(tmp_path_factory.mktemp("program") / "tiny.onnx")


def read_whole(path):
    """What an engine does with a file: read the program, find the weights, and give every value its shape."""
    program, weights = read_program(path, read_spec(path))
    values = program.values(SHAPES, SPEC, weights)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as file:
        return program, values, {name: np.array(weight.read(file)) for name, weight in weights.items()}


def test_a_program_comes_back_as_it_was_written(engine):
    program, values, weights = read_whole(engine)
    assert program == PROGRAM
    assert values["conv"].shape == (2, 4, 4, 16)
    assert values["up"].shape == (2, 4, 8, 16)
    assert values["image"] == ("uint8", (2, 8, 16, 3))
    assert weights.keys() == WEIGHTS.keys()
    assert all(np.array_equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


STEP = tiny_search.program(tiny_search.Sizes())
STEP_UNFIT = {
    "a linear layer of another length": (2, {"weight": "head"}, r"head of \[360, 1\], expected \[5, 360\]"),
    "a map of another size": (2, {"shape": [20, 3, 7]}, r"project of \[5, 360\], expected \[5, 420\]"),
    "a bias of another length": (2, {"bias": "bias"}, r"bias of \[20\], expected \[360\]"),
    "a linear layer of a map that is no vector": (2, {"inputs": ["joint"]}, "no input 'joint' is there for it"),
    "a score that is a vector": (10, {"inputs": ["z inside"]}, r"\[2, 5, 1, 1\], expected \[N, 1, 1, 1\]"),
    "a loss of another image": (9, {"inputs": ["leaky", "observed", "known_mask"]}, r"compares \[2, 20, 3, 6\]"),
    "masks for images": (9, {"inputs": ["joint", "known_mask", "observed"]}, "expected uint8 of 4 axes"),
    "gradients of two shapes": (13, {"inputs": ["seen", "joint"]}, "expected one shape"),
    "a vector for a number": (21, {"inputs": ["velocity inside", "by z", "z", "momentum"]}, r"expected float32 \[1\]"),
    "a map that moves": (22, {"inputs": ["joint", "joint", "z_limit"]}, r"expected a vector \[N, C, 1, 1\]"),
    "one image among several": (
        0,
        {"op": "from_bytes", "inputs": ["observed"], "scale": 1, "shift": 0},
        r"expected a vector",
    ),
}


@pytest.mark.parametrize(("index", "changes", "message"), STEP_UNFIT.values(), ids=STEP_UNFIT)
def test_steps_of_a_search_that_do_not_fit(tmp_path, index, changes, message):
    document = json.loads(STEP.to_json())
    layer = document["layers"][index]
    document["layers"][index] = (changes | {"output": layer["output"]}) if "op" in changes else layer | changes
    path = tiny_search.engine(tmp_path / "e.onnx", document=json.dumps(document))
    spec = read_spec(path)

    def values():
        program, weights = read_program(path, spec)
        return program.values({name: value.shape for name, value in tiny_search.inputs().items()}, spec, weights)

    with pytest.raises(EngineFormatError, match=message):
        values()


def test_every_layer_is_tried_here():
    used = {layer.op for program in (PROGRAM, HOLES, STEP) for layer in program.layers}
    assert used == OPS.keys()


def test_a_program_has_the_oldest_format_that_holds_it():
    """So that what an older version can run stays what it can run."""
    assert json.loads(PROGRAM.to_json())["format"] == 1
    assert json.loads(HOLES.to_json())["format"] == 2
    assert json.loads(STEP.to_json())["format"] == 3
    twice, thrice = (replace(PROGRAM, layers=(Upsample(("a",), "b", scale, "linear"),)) for scale in (2, 3))
    assert [json.loads(program.to_json())["format"] for program in (twice, thrice)] == [1, 2]


def test_an_engine_without_a_program(tmp_path):
    path = tiny_programs.tiny_engines.synthesizer(tmp_path / "old.onnx", styles=True)
    assert read_program(path, read_spec(path)) is None


@pytest.mark.parametrize("name", ["street.onnx", "street.encoder.onnx", "edges2photo.onnx", "inpaint.onnx"])
def test_weights_are_found_where_onnx_finds_them(name):
    path = ASSETS / name
    expected = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims
    }
    content = path.read_bytes()
    found = find_initializers(path, expected)
    assert len(expected) > 5
    assert all(np.array_equal(found[key].read(content), expected[key]) for key in expected)


def changed(index, **fields):
    """The document with fields of one layer replaced; None removes one."""
    document = copy.deepcopy(DOCUMENT)
    layer = document["layers"][index]
    layer.update(fields)
    return document | {"layers": [*document["layers"][:index], layer, *document["layers"][index + 1 :]]}


def without(index, key):
    document = copy.deepcopy(DOCUMENT)
    del document["layers"][index][key]
    return document


DAMAGED = {
    "no JSON": ("{", "Expecting property name"),
    "deep nesting": ("[" * 200_000, "nested too deeply"),
    "a list": ([], "a list of 0, expected an object"),
    "no format": ({"layers": DOCUMENT["layers"]}, "field 'format' is missing"),
    "format true": ({"format": True, "layers": DOCUMENT["layers"]}, "format is true"),
    "no layers": ({"format": 1, "layers": []}, "expected a list of 1 to 10000"),
    "too many layers": ({"format": 1, "layers": [0] * 10_001}, "expected a list of 1 to 10000"),
    "too long": (" " * (4 * 2**20 + 1), "at most"),
    "a layer that is none": ({"format": 1, "layers": [3]}, "layer 0 is 3, expected an object"),
    "an op that is no word": (changed(2, op=[1]), "op is a list of 1"),
    "a foreign field": (changed(1, groups=2), r"layer 1 \(conv\): it has an unknown field 'groups'"),
    "a missing field": (without(1, "stride"), r"layer 1 \(conv\): field 'stride' is missing"),
    "inputs that are no list": (changed(1, inputs="features"), 'inputs is "features", expected a list'),
    "too many inputs": (changed(2, inputs=["conv", "conv"]), "2 inputs, expected 1 to 1"),
    "a value of later": (changed(1, inputs=["norm"]), "no input 'norm'"),
    "an engine input amid the network": (changed(1, inputs=["styles"]), "no input 'styles'"),
    "a value in the place of labels": (changed(0, inputs=["conv", "inst_map", "styles"]), "no input 'conv'"),
    "an output given twice": (changed(2, output="conv"), "'conv' cannot be its output"),
    "an output called as an input": (changed(2, output="styles"), "'styles' cannot be its output"),
    "an engine output too early": (changed(2, output="image"), "'image' cannot be its output"),
    "an output that nobody knows": (changed(19, output="other"), "'other' cannot be its output"),
    "nothing at the end": ({"format": 1, "layers": DOCUMENT["layers"][:-1]}, "nothing gives the output image"),
    "a name that is too long": (changed(1, weights=["w" * 201]), "no name of 1 to 200"),
    "a value's name that is too long": (changed(1, output="w" * 201), "up to 200 characters"),
    "a name of no character": (changed(1, weights=[""]), "no name"),
    "a name with a zero byte": (changed(1, bias="a\0b"), "no name"),
    "half a character": (changed(1, bias="\ud800"), "no name"),
    "no weights": (changed(1, weights=[]), "expected a list of 1 to 64"),
    "a stride of 0": (changed(1, stride=[0, 1]), "expected a whole number from 1"),
    "a stride of true": (changed(1, stride=[True, 1]), "expected a whole number from 1"),
    "a stride of 1.0": (changed(1, stride=[1.0, 1]), "expected a whole number from 1"),
    "a huge stride": (changed(1, stride=[10**4000, 1]), "expected a whole number from 1"),
    "three strides": (changed(1, stride=[1, 1, 1]), "expected a list of 2"),
    "negative pads": (changed(1, pads=[-1, 0, 0, 0]), "expected a whole number from 0"),
    "a mode of padding": (changed(1, pad_mode="edge"), "expected zero or reflect"),
    "an epsilon of 0": (changed(2, epsilon=0), "expected more than 0"),
    "an epsilon of NaN": (changed(2, epsilon=float("nan")), "expected a finite number"),
    "an endless slope": (changed(3, alpha=float("inf")), "expected a finite number"),
    "a huge slope": (changed(3, alpha=10**400), "a number of over 30 digits"),
    "a number that is a word": (changed(3, alpha="0.2"), "expected a finite number"),
    "classes": (changed(0, label_nc=257), "expected a whole number from 1 to 256"),
    "edges of 1": (changed(0, has_edges=1), "has_edges is not true or false"),
    "features without styles": (changed(0, inputs=["label_map", "inst_map"]), "2 inputs, expected 3"),
    "padding as wide as the window": (changed(8, pads=[3, 1, 1, 1]), "not below the kernel"),
    "more output than stride": (changed(14, output_padding=[2, 0]), "not below the stride"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_documents_that_are_damaged(name):
    document, message = DAMAGED[name]
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(EngineFormatError, match=message) as error:
        parse_program(text, SPEC, "city.onnx")
    assert not isinstance(error.value, UnknownProgramError)
    assert str(error.value).startswith("engine city.onnx: ")
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("document", "message"),
    [({"format": 4}, "format 4, this pix2rt reads up to 3"), (changed(3, op="warp"), "layer 3 .* 'warp'")],
)
def test_programs_of_a_newer_version(document, message):
    with pytest.raises(UnknownProgramError, match=message):
        parse_program(json.dumps(document), SPEC, "city.onnx")


UNFIT = {
    "weights for other channels": (changed(1, weights=["first"]), r"\(conv\): weights of .* for 7 channels"),
    "weights of two axes": (changed(1, weights=["bias"]), "expected four sizes"),
    "weights of two kernels": (changed(1, weights=["first", "wide"]), "weights of"),
    "a bias of another length": (changed(15, bias="bias"), r"bias of \[4\], expected \[12\]"),
    "a wide reflection": (changed(1, pads=[8, 2, 1, 2]), "reflects"),
    "a kernel larger than the map": (changed(1, dilation=[9, 1]), r"\(conv\): gives"),
    "a transposed one for other channels": (changed(14, weight="wide"), "for 12 channels, given 8"),
    "a scale of another length": (changed(2, scale="wider"), r"expected \[4\]"),
    "sums of two shapes": (changed(6, inputs=["features", "leaky"]), "adds"),
    "joins of two sizes": (changed(13, inputs=["features", "affine"]), "joins"),
    "channels that make no block": (changed(16, block=3), "expected a multiple of 9"),
    "an image of another size": (changed(16, inputs=["up"]), "12|expected|gives|image"),
    "labels in the place of instances": (changed(0, inputs=["label_map", "label_map", "styles"]), "expected int32"),
    "labels that are styles": (changed(0, inputs=["styles", "inst_map", "styles"]), "expected uint8"),
    "an endless image": (changed(14, stride=[1024, 1024]), "gives|adds|expected|image"),
    "another number of features": (changed(0, feat_num=3), "inputs of"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_layers_that_do_not_fit(tmp_path, name):
    document, message = UNFIT[name]
    with pytest.raises(EngineFormatError, match=message):
        read_whole(tiny_programs.engine(tmp_path / "e.onnx", document=json.dumps(document)))


# Layers of HOLES: 2 is the filling, 4 the convolution, 7 the match, 8 what it pastes, 9 shows the match, 13 subtracts,
# 19 blends, 20 selects, 21 gives bytes.
UNFIT_HOLES = {
    "a mask of several channels": ({2: {"inputs": ["known", "known"]}}, "a mask of"),
    "a mask of another size": ({2: {"inputs": ["known", "small"]}, 6: None}, "no input 'small'"),
    "a filling of odd sides": ({2: {"levels": 4}}, "expected multiples of 16"),
    "levels": ({2: {"levels": 9}}, "expected a whole number from 1 to 8"),
    "a match in the place of floats": ({8: {"inputs": ["match inside", "small", "match inside"]}}, "int32"),
    "floats in the place of a match": ({8: {"inputs": ["relu", "small", "relu"]}}, "a match of float32"),
    "a match of another size": (
        {7: {"inputs": ["filled", "hole"]}, 9: {"inputs": ["match inside"]}},
        "a match of int32 .* expected int32",
    ),
    "floats as a match": ({9: {"inputs": ["relu"]}}, "a match of float32"),
    "a match as floats": ({10: {"inputs": ["match inside"]}}, "expected floats of four axes"),
    "a match that is activated": ({5: {"inputs": ["match inside"]}}, "no input"),
    "a difference of two shapes": ({13: {"inputs": ["filled", "relu"]}}, "subtracts"),
    "a blend of two shapes": ({19: {"inputs": ["depth", "filled", "swapped"]}}, "blends"),
    "a choice of two shapes": ({20: {"inputs": ["hole", "blended", "swapped"]}}, "chooses"),
    "a value in the place of the image": ({21: {"inputs": ["pasted", "made", "hole_mask"]}}, "no input 'made'"),
    "the image in the place of a value": ({21: {"inputs": ["photo", "photo", "hole_mask"]}}, "no input 'photo'"),
    "the mask in the place of the image": ({21: {"inputs": ["pasted", "hole_mask", "hole_mask"]}}, "expected uint8"),
    "an image of other channels": ({21: {"inputs": ["swapped", "photo", "hole_mask"]}}, "pastes"),
    "an exponent": ({19: {"exponent": 3}}, "expected a whole number from 1 to 2"),
    "a large scale": ({11: {"scale": 17}}, "expected a whole number from 2 to 16"),
}


@pytest.mark.parametrize("name", UNFIT_HOLES)
def test_layers_of_holes_that_do_not_fit(name):
    changes, message = UNFIT_HOLES[name]
    document = json.loads(HOLES.to_json())
    layers = [layer | (changes.get(index, {}) or {}) for index, layer in enumerate(document["layers"])]
    document["layers"] = [layer for index, layer in enumerate(layers) if changes.get(index, {}) is not None]
    weights = {name: Initializer(name, 0, weight.shape) for name, weight in tiny_programs.HOLE_WEIGHTS.items()}
    shapes = {name: array.shape for name, array in tiny_programs.holes().items()}
    with pytest.raises(EngineFormatError, match=message):
        parse_program(json.dumps(document), HOLE_SPEC, "e.onnx").values(shapes, HOLE_SPEC, weights)


def with_initializer(path, change):
    """The engine file with one initializer changed."""
    model = onnx.load(path)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "first"]
    change(model.graph, tensor)
    path.write_bytes(model.SerializeToString())
    return path


def _external(graph, tensor):
    raw = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    tensor.external_data.add(key="length", value=str(raw))


def _as_floats(graph, tensor):
    values = numpy_helper.to_array(tensor).ravel()
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values)


def _resized(*dims):
    def change(graph, tensor):
        tensor.ClearField("dims")
        tensor.dims.extend(dims)

    return change


FOREIGN_WEIGHTS = {
    "in another file": (_external, "one file"),
    "as floats": (_as_floats, "not raw float32"),
    "of another type": (lambda graph, tensor: setattr(tensor, "data_type", 10), "not raw float32"),
    "twice": (lambda graph, tensor: graph.initializer.append(tensor), "two initializers 'first'"),
    "not there": (lambda graph, tensor: graph.initializer.remove(tensor), "names 'first'"),
    "too few": (_resized(4, 5, 3, 6), "has 1200 bytes"),
    "of no size": (_resized(4, 5, 0), "impossible sizes"),
    "of a negative size": (_resized(-4, -75), "impossible sizes"),
    "of absurd size": (_resized(2**31, 2**31, 2**31, 2**31), "has 1200 bytes"),
    "of many axes": (_resized(*[1] * 9), "impossible sizes"),
}


@pytest.mark.parametrize("name", FOREIGN_WEIGHTS)
def test_weights_that_are_not_as_they_should_be(tmp_path, name):
    change, message = FOREIGN_WEIGHTS[name]
    with pytest.raises(EngineFormatError, match=message):
        read_whole(with_initializer(tiny_programs.engine(tmp_path / "e.onnx"), change))


def test_two_graphs(tmp_path, engine):
    """ONNX would merge them; where a weight lies would then be anybody's guess."""
    path = tmp_path / "e.onnx"
    path.write_bytes(engine.read_bytes() + onnx.ModelProto(graph=onnx.load(engine).graph).SerializeToString())
    with pytest.raises(EngineFormatError, match="2 graphs"):
        read_whole(path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["conv", "image"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _spots(value, path=()):
    """Paths to everything inside a JSON document."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _spots(value[key], (*path, key))


SPOTS = [path for path in _spots(DOCUMENT) if path]


@settings(max_examples=drawn(300), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SPOTS), JSON_VALUES), min_size=1, max_size=3))
def test_changed_documents_never_escape_the_hierarchy(engine, changes):
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes:
        place = document
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (TypeError, KeyError, IndexError):  # an earlier change removed the place
            continue
    weights = find_initializers(engine, WEIGHTS)
    try:
        program = parse_program(json.dumps(document), SPEC, "e.onnx")
        if set(program.initializers) <= weights.keys():
            program.values(SHAPES, SPEC, weights)
    except EngineFormatError:
        pass


@settings(max_examples=drawn(300), deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_escape_the_hierarchy(tmp_path_factory, engine, data):
    content = bytearray(engine.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    end = data.draw(st.sampled_from([len(content), data.draw(st.integers(0, len(content)))]))
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(content[:end])
    try:
        spec = read_spec(path)
        found = read_program(path, spec)
        if found is not None:  # the program's key may have been hit
            found[0].values({tensor.name: SHAPES.get(tensor.name, (1,)) for tensor in spec.inputs}, spec, found[1])
            assert all(weight.read(content[:end]).nbytes == weight.nbytes for weight in found[1].values())
    except EngineFormatError:
        pass
