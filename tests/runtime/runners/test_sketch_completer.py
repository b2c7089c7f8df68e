"""SketchCompleter against a search in closed form: descent, restarts, early stop, masks, directions, bad input."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from runtime import Pix2rtError, SketchCompleter
from runtime.errors import EngineFormatError, InputError
from tests.runtime.tiny_completers import SIDE, centre, completer, descent

RNG = np.random.default_rng(0)
SKETCH = np.where(RNG.random((SIDE, SIDE, 1)) < 0.2, 0, 255).astype(np.uint8).repeat(3, 2)
PHOTO = RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
RATE = {"learning_rate": 0.05}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return SketchCompleter(completer(tmp_path_factory.mktemp("sketch") / "e.onnx"), "cpu")


def candidates(seed, restart=0, count=10, limit=1.0):
    return np.random.default_rng([seed, restart]).uniform(-limit, limit, (count, 3)).astype(np.float32)


def best_of(found, c):
    return found[((found - c) ** 2).sum(1).argmin()].astype(np.float64)


def test_the_search_is_gradient_descent_from_the_best_candidate(tiny):
    joint, mask = tiny.joint(SKETCH)
    c = centre(joint, mask)
    path = descent(best_of(candidates(3), c), c, 40, **RATE)
    found = tiny.complete(joint, mask, iterations=40, seed=3, stop_early=False, **RATE)
    np.testing.assert_allclose(found.contextual_loss[:, 0], ((path - c) ** 2).sum(1), atol=2e-6)
    np.testing.assert_allclose(found.perceptual_loss[:, 0], path[:, 0], atol=2e-6)
    total = ((path - c) ** 2).sum(1) + 0.01 * path[:, 0]
    assert found.iteration == total.argmin()
    np.testing.assert_allclose(found.z, path[total.argmin()], atol=2e-6)


def test_known_pixels_are_kept_and_the_rest_is_made(tiny):
    joint, mask = tiny.joint(SKETCH)
    mask[3, 5:9] = 0
    found = tiny.complete(joint, mask, iterations=5)
    np.testing.assert_array_equal(found.image[mask > 0], joint[mask > 0])
    colour = np.clip(127.5 * found.z + 127.5, 0, 255).astype(np.uint8)
    assert np.abs(found.made.astype(int) - colour).max() <= 1
    np.testing.assert_array_equal(found.image[mask == 0], found.made[mask == 0])


def test_both_directions(tiny):
    joint, mask = tiny.joint(PHOTO, given="photo")
    np.testing.assert_array_equal(joint[:, SIDE:], PHOTO)
    assert mask[:, SIDE:].all()
    assert not mask[:, :SIDE].any()
    options = {"iterations": 200, "perceptual_weight": 0.0, **RATE}
    for image, given in ((SKETCH, "sketch"), (PHOTO, "photo")):
        made = tiny.run(image, given=given, **options)
        assert made.shape == (SIDE, SIDE, 3)
        # Without the second loss the search ends at the mean colour of what was given.
        assert np.abs(made.astype(float) - image.mean((0, 1))).max() <= 1.5


def test_same_seed_same_bytes_whatever_runs_beside(tiny):
    joint, mask = tiny.joint(SKETCH)
    alone, again = (tiny.complete(joint, mask, iterations=30, seed=5) for _ in range(2))
    np.testing.assert_array_equal(alone.contextual_loss, again.contextual_loss)
    np.testing.assert_array_equal(alone.image, again.image)
    together = tiny.complete(joint, mask, iterations=30, seed=5, restarts=4)
    np.testing.assert_array_equal(together.contextual_loss[:, 0], alone.contextual_loss[:, 0])
    assert together.contextual_loss.shape == (31, 4)
    other = tiny.complete(joint, mask, iterations=30, seed=6)
    assert not np.array_equal(other.contextual_loss, alone.contextual_loss)


def test_the_best_restart_counts(tiny):
    joint, mask = tiny.joint(SKETCH)
    found = tiny.complete(joint, mask, iterations=3, restarts=6, candidates=1, learning_rate=0.001)
    totals = found.contextual_loss + np.float32(0.01) * found.perceptual_loss
    assert found.restart == totals.min(0).argmin()
    assert len(set(totals.min(0).tolist())) == 6


def test_more_candidates_start_no_worse(tiny):
    joint, mask = tiny.joint(SKETCH)
    starts = {n: tiny.complete(joint, mask, iterations=1, candidates=n).contextual_loss[0, 0] for n in (1, 10, 30)}
    assert starts[30] <= starts[10] < starts[1]


def test_a_settled_search_stops_and_keeps_its_result(tiny):
    joint, mask = tiny.joint(SKETCH)
    early = tiny.complete(joint, mask, iterations=500, patience=20, perceptual_weight=0.0, **RATE)
    whole = tiny.complete(joint, mask, iterations=500, stop_early=False, perceptual_weight=0.0, **RATE)
    steps = len(early.contextual_loss) - 1
    assert 20 <= steps < 300
    assert len(whole.contextual_loss) == 501
    np.testing.assert_array_equal(early.contextual_loss, whole.contextual_loss[: steps + 1])
    gained = whole.contextual_loss[0, 0] - early.contextual_loss[early.iteration, 0]
    assert early.contextual_loss[early.iteration, 0] < whole.contextual_loss.min() + 0.02 * gained
    # Restarts settle each in their own time, as if they were alone.
    several = tiny.complete(joint, mask, iterations=500, restarts=3, patience=20, perceptual_weight=0.0, **RATE)
    np.testing.assert_array_equal(several.contextual_loss[: steps + 1, 0], early.contextual_loss[:, 0])
    assert np.isnan(several.contextual_loss[steps + 1 :, 0]).all()


def test_callback_sees_every_step_and_can_end(tiny):
    joint, mask = tiny.joint(SKETCH)
    seen = []

    def follow(step):
        seen.append((step.iteration, step.contextual_loss.copy(), step.image()))
        return step.iteration == 7

    found = tiny.complete(joint, mask, callback=follow, restarts=2, **RATE)
    assert [number for number, _, _ in seen] == list(range(8))
    np.testing.assert_array_equal(np.stack([losses for _, losses, _ in seen]), found.contextual_loss)
    assert seen[0][2].shape == (SIDE, 2 * SIDE, 3)
    assert not np.array_equal(seen[0][2], seen[7][2])
    assert found.iteration <= 7


def test_weights_pull_towards_what_matters(tiny):
    half = np.full((SIDE, SIDE, 3), 255, np.uint8)
    half[:, : SIDE // 4] = 0
    mask = np.full((SIDE, SIDE), 10, np.uint8)
    options = {"iterations": 300, "perceptual_weight": 0.0, **RATE}
    even = tiny.run(half, known_mask=mask, **options).mean()
    mask[:, : SIDE // 4] = 250
    assert tiny.run(half, known_mask=mask, **options).mean() < even - 50
    # What is not evidence has no say.
    mask[:, : SIDE // 4] = 0
    assert tiny.run(half, known_mask=mask > 0, **options).mean() > 250


@pytest.mark.parametrize("given", ["sketch", "photo"])
def test_a_hint_steers_by_its_opacity_and_does_not_show(tiny, given):
    """The engine makes the weighted mean of all that is known: dabs of black darken it, and are not in it."""
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    image[:2] = 200
    options = {"given": given, "iterations": 300, "perceptual_weight": 0.0, **RATE}
    hint = np.zeros((SIDE, SIDE, 4), np.uint8)
    means = []
    for opacity in (1, 64, 255):
        hint[4:12, 4:12, 3] = opacity
        made = tiny.run(image, hint=hint, **options)
        assert made.min() == made.max()
        expected = 255 * image.sum() / (255 * image.size + opacity * 64 * 3)
        assert abs(made.mean() - expected) <= 1.5
        means.append(made.mean())
    assert means[0] > means[1] > means[2]
    observed, weights = tiny.joint(image, given=given, hint=hint)
    first, second = (np.split(array, 2, 1) for array in (observed, weights))
    other = 1 if given == "sketch" else 0
    np.testing.assert_array_equal(first[1 - other], image)
    np.testing.assert_array_equal(second[other], hint[..., 3])
    # Whoever wants the hint kept takes `image`.
    found = tiny.complete(observed, weights, **{key: options[key] for key in options if key != "given"})
    assert (np.split(found.image, 2, 1)[other][4:12, 4:12] == 0).all()
    np.testing.assert_array_equal(found.halves(given)[other], made)
    np.testing.assert_array_equal(found.halves(given)[1 - other], image)


def test_an_engine_of_a_fixed_batch(tmp_path, tiny):
    fixed = SketchCompleter(completer(tmp_path / "e.onnx", batch=1), "cpu")
    joint, mask = tiny.joint(SKETCH)
    one, free = (runner.complete(joint, mask, iterations=20, restarts=2) for runner in (fixed, tiny))
    np.testing.assert_array_equal(one.contextual_loss, free.contextual_loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations is 0"),
        ({"iterations": -5}, "iterations is -5"),
        ({"iterations": 2.5}, "iterations is 2.5"),
        ({"restarts": 0}, "restarts is 0"),
        ({"candidates": True}, "candidates is True"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"perceptual_weight": -0.1}, "perceptual_weight is -0.1"),
        ({"z_limit": "wide"}, "z_limit is 'wide'"),
        ({"steps": 5}, "unknown option steps"),
        ({"given": "drawing"}, "given is 'drawing'"),
        ({"known_mask": np.zeros((SIDE, SIDE), bool)}, "nothing is known"),
        ({"known_mask": np.ones((SIDE, 3), bool)}, r"known_mask is bool \[16, 3\]"),
        ({"hint": np.ones((SIDE, SIDE, 3), np.uint8)}, r"hint is uint8 \[16, 16, 3\], expected uint8 \[16, 16, 4\]"),
    ],
)
def test_bad_options(tiny, options, message):
    with pytest.raises(InputError, match=message):
        tiny.run(SKETCH, **options)


def test_a_joint_image_of_another_size(tiny):
    with pytest.raises(InputError, match=r"observed is uint8 \[16, 16, 3\], expected a joint image"):
        tiny.complete(SKETCH, np.ones((SIDE, SIDE), bool))


def test_diverging_is_an_error_not_a_picture(tiny):
    with pytest.raises(Pix2rtError, match=r"not finite; lower learning_rate"):
        tiny.run(SKETCH, learning_rate=1e30, z_limit=3e38, momentum=0.99, stop_early=False)


@pytest.mark.parametrize(
    "changed",
    [
        lambda spec: replace(spec, outputs=spec.outputs[:-1]),
        lambda spec: replace(spec, inputs=spec.inputs[:-1]),
        lambda spec: replace(spec, inputs=(replace(spec.inputs[0], shape=(1, SIDE, SIDE, 3)), *spec.inputs[1:])),
        lambda spec: replace(spec, inputs=(replace(spec.inputs[0], shape=(1, "H", "W", 3)), *spec.inputs[1:])),
        lambda spec: replace(spec, outputs=(replace(spec.outputs[0], shape=("N", 4)), *spec.outputs[1:])),
    ],
)
def test_tampered_engines_are_refused(tmp_path, changed):
    path = completer(tmp_path / "e.onnx", changed=changed)
    with pytest.raises(EngineFormatError, match="makes no sense"):
        SketchCompleter(path)


def test_an_output_that_is_not_what_the_specification_says(tmp_path):
    """The graph leaves open how many losses there are, and gives only those above the largest: noticed when it runs."""
    path = completer(tmp_path / "e.onnx")
    model = onnx.load(path)
    (node,) = (node for node in model.graph.node if "contextual_loss" in node.output)
    node.output[0] = "losses"
    helper = onnx.helper
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["losses"], ["largest"]),
            helper.make_node("Greater", ["losses", "largest"], ["above_all"]),
            helper.make_node("Compress", ["losses", "above_all"], ["contextual_loss"], axis=0),
        ]
    )
    onnx.save(model, path)
    with pytest.raises(EngineFormatError, match=r"output contextual_loss is float32 \[0\], expected float32 \[10\]"):
        SketchCompleter(path, "cpu").run(SKETCH)
