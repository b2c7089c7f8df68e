"""The gate's examples: of every size and batch that an engine takes, and what only they find."""

from dataclasses import replace

import pytest

from export.errors import ParityError
from export.gate import make_examples, run_gate
from export.inference_modules import Graph, Request
from export.onnx_from_checkpoint import graphs_of
from tests.export.conftest import SIZE, Tiny
from tests.tiny_models import tiny_checkpoint


def graph_of(variant: str, size: tuple[int, int] | None = None) -> Graph:
    return graphs_of(tiny_checkpoint(variant), Request(size))[0]


def shapes(graph: Graph, size: tuple[int, int] | None) -> list[tuple[int, ...]]:
    return [next(iter(example.inputs.values())).shape[:3] for example in make_examples(graph, size)]


def test_examples_have_the_engines_size() -> None:
    assert shapes(graph_of("no_edges", SIZE), SIZE) == [(1, *SIZE)] * 3
    large = (512, 1024)
    assert shapes(graph_of("no_edges", large), large) == [(1, *large)]


def test_examples_of_free_sizes_have_a_batch_and_unequal_sides() -> None:
    found = shapes(graph_of("unet"), None)
    assert sorted(count for count, _, _ in found) == [1, 2]
    assert all(height != width for _, height, width in found)
    assert {height > width for _, height, width in found} == {True, False}


def test_an_engine_that_mixes_the_images_of_a_batch_is_refused(tiny_engines: Tiny) -> None:
    """At N = 1 statistics of the batch are those of the image: only the example of two images tells."""
    mixing = tiny_engines("unet", dynamic=True, normalization="batch-stats")[0].path
    examples = make_examples(graph_of("unet"), None)
    single = [example for example in examples if example.inputs["image"].shape[0] == 1]
    run_gate(mixing, single, "fp32")
    with pytest.raises(ParityError, match="differs from the checkpoint"):
        run_gate(mixing, examples, "fp32")


def test_every_example_counts(tiny_engines: Tiny) -> None:
    """A reference that another checkpoint gave for one example of three is found, wherever it is."""
    path = tiny_engines("no_edges")[0].path
    examples = make_examples(graph_of("no_edges", SIZE), SIZE)
    other = graphs_of(tiny_checkpoint("no_edges", seed=1), Request(SIZE))[0]
    assert other.reference is not None
    for index, example in enumerate(examples):
        wrong = other.reference(example.inputs)
        spoilt = [*examples[:index], replace(example, expected=lambda _, w=wrong: w), *examples[index + 1 :]]
        with pytest.raises(ParityError):
            run_gate(path, spoilt, "fp32")
