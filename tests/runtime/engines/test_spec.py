"""The specification is untrusted: every field has a type and bounds, and whatever is in it, one error comes out."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engines.kinds import kinds
from runtime.engines.spec import parse_spec
from runtime.errors import EngineFormatError
from tests.examples import drawn
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_translators

DOCUMENTS = [
    json.loads(spec.to_json())
    for spec in (
        tiny_engines.synthesizer_spec(styles=True),
        tiny_engines.synthesizer_spec(size=None, batch="N"),
        tiny_translators.spec(seed=True),
        tiny_inpainters.spec(style=True),
        tiny_completers.spec(),
    )
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_it_comes_back_as_it_was(document):
    spec = parse_spec(json.dumps(document), "e.onnx")
    assert json.loads(spec.to_json()) == document
    kinds()[spec.kind].require(spec)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", []),
        ("size", [16]),
        ("size", [16, 32, 3]),
        ("size", [16, "32"]),
        ("size", [16, 2**20]),
        ("size_multiple", 2**40),
        ("size_multiple", 100_000),
        ("size_multiple", 8.0),
        ("size_multiple", True),
        ("smallest_side", 2**40),
        ("smallest_side", 100_000),
        ("smallest_side", 65_535),
        ("size", [65_535, 65_535]),
        ("smallest_side", 0),
        ("kind", None),
        ("kind", "x" * 10_000),
        ("inputs", []),
        ("inputs", [{}] * 1000),
        ("inputs", [3]),
        ("labels", 5),
        ("labels", {"names": ["x" * 10_000], "palette": [[0, 0, 0]]}),
        ("labels", {"names": "abc", "palette": [[0, 0, 0]] * 3}),
        ("styles", {"feat_num": 2, "centres": {"1": [[float("nan"), 0]]}}),
        ("styles", {"feat_num": 2, "centres": {"-1": [[0, 0]]}}),
        ("styles", {"feat_num": 2, "centres": {"256": [[0, 0]]}}),
        ("styles", {"feat_num": 2, "centres": {"²": [[0, 0]]}}),
        ("styles", {"feat_num": 10**9, "centres": {}}),
        ("styles", []),
        ("cost", {"size": [1, 1], "macs": -1, "parameters": 0, "weight_bytes": 0, "activation_bytes": 0}),
        ("cost", {"size": [1], "macs": 1, "parameters": 0, "weight_bytes": 0, "activation_bytes": 0}),
        ("cost", {"size": [1, 1], "macs": 10**30, "parameters": 0, "weight_bytes": 0, "activation_bytes": 0}),
        ("parity", {"psnr_db": "high"}),
        ("parity", {"psnr_db": 1e400}),
        ("options", {"scales": 2.5}),
        ("options", {str(n): n for n in range(1000)}),
        ("versions", {"torch": 2}),
        ("checkpoint_sha256", 5),
    ],
)
def test_what_no_field_may_be(field, value):
    with pytest.raises(EngineFormatError, match=r"engine e\.onnx: damaged specification: .*; export it again"):
        parse_spec(json.dumps({**DOCUMENTS[0], field: value}), "e.onnx")


def test_every_field_is_needed():
    for name in DOCUMENTS[0].keys() - {"options", "recipe", "format_version"}:
        with pytest.raises(EngineFormatError, match=rf"field '{name}' is missing"):
            parse_spec(json.dumps({key: value for key, value in DOCUMENTS[0].items() if key != name}), "e.onnx")


def test_depth_and_digits():
    for text in ("[" * 100_000, '{"a":' * 100_000, f'{{"format_version": {"9" * 5000}}}', '{"format_version": 1e999}'):
        with pytest.raises(EngineFormatError):
            parse_spec(text, "e.onnx")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["N", "H", "uint8"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=drawn(500), deadline=None)
@given(st.data())
def test_nothing_else_escapes(data):
    """Any value in the place of any other, at any depth."""
    document = json.loads(json.dumps(data.draw(st.sampled_from(DOCUMENTS))))
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = inner
    with suppress(EngineFormatError):
        spec = parse_spec(json.dumps(document), "e.onnx")
        assert json.loads(spec.to_json())["kind"] == spec.kind
        if spec.kind in kinds():
            with suppress(ValueError):  # which its caller turns into an EngineFormatError
                kinds()[spec.kind].require(spec)


def test_the_longest_texts_are_taken():
    """1000 characters, and not one more."""
    document = DOCUMENTS[0] | {"family": "x" * 1000}
    assert parse_spec(json.dumps(document), "e.onnx").family == "x" * 1000
    with pytest.raises(EngineFormatError, match="expected up to 1000 characters"):
        parse_spec(json.dumps(document | {"family": "x" * 1001}), "e.onnx")
