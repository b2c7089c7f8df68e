"""FCN-score: segmenters of several forms, and the figures against their definitions."""

import numpy as np
import pytest
from onnx import helper

from runtime.engines.labels import LabelSpec
from runtime.errors import InputError, MissingFileError, Pix2rtError
from tests.training.tiny_onnx import FLOAT, INT64, UINT8, nearest_red, red_is_the_class, save
from training.class_tables import CITYSCAPES, CITYSCAPES_TRAIN_IDS, ignored_classes
from training.errors import DataError
from training.evaluation.evaluate import evaluate
from training.evaluation.segmentation import FcnScore, Segmenter
from training.system import HeldOut

SIX = LabelSpec.unnamed(6)


def painted(ids, step=1):
    """An image whose red channel is ids · step."""
    image = np.random.default_rng(0).integers(0, 256, (*ids.shape, 3), np.uint8)
    image[..., 0] = ids * step
    return image


def random_ids(seed, classes, height=16, width=24):
    return np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.int32)


def by_definition(pairs, counted):
    """Long et al. 2015: Σ n_ii / Σ t_i, mean n_ii / t_i, mean n_ii / (t_i + Σ_j n_ji − n_ii)."""
    right = total = 0
    recalls, ious = [], []
    true = np.concatenate([t.ravel() for t, _ in pairs])
    found = np.concatenate([f.ravel() for _, f in pairs])
    found, true = found[np.isin(true, counted)], true[np.isin(true, counted)]
    for c in counted:
        both, either = np.sum((true == c) & (found == c)), np.sum((true == c) | (found == c))
        right, total = right + both, total + np.sum(true == c)
        recalls += [both / np.sum(true == c)] if np.any(true == c) else []
        ious += [both / either] if either else []
    return {"pixel_accuracy": right / total, "class_accuracy": np.mean(recalls), "mean_iou": np.mean(ious)}


@pytest.mark.parametrize("labels", [SIX, CITYSCAPES], ids=["six", "cityscapes"])
def test_scores_over_all_items_together(tmp_path, labels):
    """Cityscapes' maps hold classes its benchmark does not count; the images show still others."""
    segmenter = Segmenter(red_is_the_class(tmp_path / "s.onnx"), labels)
    shown = [random_ids(seed, labels.label_nc) for seed in range(3)]
    common = 4 if labels is SIX else 8
    asked = [np.where(random_ids(seed + 9, 10) < 7, ids, common).astype(np.int32) for seed, ids in enumerate(shown)]
    pairs = list(zip(asked, shown, strict=True))
    items = [HeldOut(str(n), painted(a), painted(s), painted(a), a) for n, (a, s) in enumerate(pairs)]
    report = evaluate(iter(items), [FcnScore(segmenter)])
    counted = [c for c in range(labels.label_nc) if labels is SIX or c in CITYSCAPES_TRAIN_IDS]
    expected = by_definition(pairs, counted)
    assert report.generated == pytest.approx(expected)
    assert report.real == pytest.approx(dict.fromkeys(expected, 1.0))
    assert 0.1 < expected["mean_iou"] < 0.95


def test_a_class_found_where_there_is_none_lowers_the_iou_only(tmp_path):
    segmenter = Segmenter(red_is_the_class(tmp_path / "s.onnx"), SIX)
    asked = np.zeros((16, 24), np.int32)
    shown = asked.copy()
    shown[:, :6] = 5
    item = HeldOut("a", painted(asked), painted(shown), painted(asked), asked)
    report = evaluate(iter([item]), [FcnScore(segmenter)])
    assert report.generated == pytest.approx({"pixel_accuracy": 0.75, "class_accuracy": 0.75, "mean_iou": 0.375})


def test_what_cityscapes_leaves_out():
    names = [CITYSCAPES.names[c] for c in ignored_classes(35)]
    assert len(names) == 35 - 19
    assert {"unlabeled", "ego vehicle", "parking", "caravan", "license plate"} <= set(names)
    assert [CITYSCAPES.names[c] for c in CITYSCAPES_TRAIN_IDS[:4]] == ["road", "sidewalk", "building", "wall"]
    assert CITYSCAPES.names[CITYSCAPES_TRAIN_IDS[-1]] == "bicycle"
    assert ignored_classes(6) == []


def test_scores_as_output_are_train_ids(tmp_path):
    segmenter = Segmenter(nearest_red(tmp_path / "s.onnx", 19, 13), CITYSCAPES, "none")
    train_ids = random_ids(0, 19)
    assert (segmenter(painted(train_ids, 13)) == np.array(CITYSCAPES_TRAIN_IDS)[train_ids]).all()


@pytest.mark.parametrize(("normalization", "exact"), [("none", True), ("unit", False), ("imagenet", False)])
def test_normalisation_matters(tmp_path, normalization, exact):
    segmenter = Segmenter(nearest_red(tmp_path / "s.onnx", 6, 40), SIX, normalization)
    ids = random_ids(0, 6)
    assert (segmenter(painted(ids, 40)) == ids).all() == exact


def test_coarse_scores_are_brought_to_the_images_size(tmp_path):
    segmenter = Segmenter(nearest_red(tmp_path / "s.onnx", 6, 40, reduce=4), SIX, "none")
    ids = random_ids(0, 6, 3, 4).repeat(16, 0).repeat(16, 1)
    found = segmenter(painted(ids, 40))
    middles = np.s_[8::16, 8::16]
    assert found.shape == ids.shape
    assert (found[middles] == ids[middles]).all()


def test_fixed_and_chosen_sizes(tmp_path):
    """The network sees its size; the answer has the image's."""
    ids = np.array([[1, 4]], np.int32).repeat(40, 0).repeat(30, 1)
    fixed = Segmenter(nearest_red(tmp_path / "fixed.onnx", 6, 40, size=32), SIX, "none")
    chosen = Segmenter(nearest_red(tmp_path / "free.onnx", 6, 40), SIX, "none", (20, 30))
    for segmenter in (fixed, chosen):
        found = segmenter(painted(ids, 40))
        assert found.shape == ids.shape
        assert (found[:, :25] == 1).all()
        assert (found[:, 35:] == 4).all()
    with pytest.raises(InputError, match="32×32 only"):
        Segmenter(tmp_path / "fixed.onnx", SIX, "none", (64, 64))


def test_ids_of_a_network_of_train_ids(tmp_path):
    path = red_is_the_class(tmp_path / "s.onnx")
    assert (Segmenter(path, CITYSCAPES, classes=19)(painted(np.full((8, 8), 13))) == 26).all(), "car"
    assert (Segmenter(path, CITYSCAPES)(painted(np.full((8, 8), 13))) == 13).all()
    with pytest.raises(InputError, match=r"ids 20 … 20, expected 0 … 18"):
        Segmenter(path, CITYSCAPES, classes=19)(painted(np.full((8, 8), 20)))


def _two_inputs(path):
    add = helper.make_node("Add", ["a", "b"], ["c"])
    shape = [1, 3, 8, 8]
    return save(path, [add], [("a", FLOAT, shape), ("b", FLOAT, shape)], [("c", FLOAT, shape)], {})


def _grey(path):
    same = helper.make_node("Identity", ["a"], ["c"])
    return save(path, [same], [("a", FLOAT, [1, 1, 8, 8])], [("c", FLOAT, [1, 1, 8, 8])], {})


def _one_class_per_image(path):
    flat = helper.make_node("Flatten", ["a"], ["c"])
    return save(path, [flat], [("a", FLOAT, [1, 3, 8, 8])], [("c", FLOAT, [1, 192])], {})


def _needs_multiples(path):
    nodes = [
        helper.make_node("ReduceMax", ["a", "axis"], ["max"], keepdims=0),
        helper.make_node("Reshape", ["max", "shape"], ["ids"]),
        helper.make_node("Cast", ["ids"], ["c"], to=INT64),
    ]
    constants = {"axis": np.array([1], np.int64), "shape": np.array([1, 8, 8], np.int64)}
    return save(path, nodes, [("a", FLOAT, [1, 3, "H", "W"])], [("c", INT64, [1, 8, 8])], constants)


@pytest.mark.parametrize(
    ("make", "labels", "message"),
    [
        (_two_inputs, SIX, "expected one input"),
        (_grey, SIX, r"takes a tensor\(float\) \[1, 1, 8, 8\]"),
        (_one_class_per_image, SIX, r"first output is float32 \[1, 192\]"),
        (_needs_multiples, SIX, "--segmenter-size"),
        (lambda path: nearest_red(path, 21, 9), CITYSCAPES, "knows 21 classes, the label maps have 35; .* or 19"),
        (lambda path: nearest_red(path, 19, 9), SIX, "knows 19 classes, the label maps have 6"),
        (lambda path: path, SIX, "does not exist"),
    ],
)
def test_segmenters_that_do_not_fit(tmp_path, make, labels, message):
    path = make(tmp_path / "s.onnx")
    with pytest.raises(Pix2rtError, match=message):
        Segmenter(path, labels, "none")(painted(random_ids(0, 6, 20, 24)))


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        Segmenter(tmp_path / "s.onnx", SIX)


def test_data_without_label_maps_or_without_counted_classes(tmp_path):
    score = FcnScore(Segmenter(red_is_the_class(tmp_path / "s.onnx"), CITYSCAPES))
    image = painted(random_ids(0, 35))
    with pytest.raises(DataError, match="has no label map"):
        score.add(HeldOut("a", image, image, image))
    score.add(HeldOut("a", image, image, image, np.full((16, 24), 2, np.int32)))
    with pytest.raises(DataError, match="no pixel"):
        score.generated()


def test_uint8_inputs_keep_their_layout(tmp_path):
    """Not float, not [N, H, W, 3]: refused rather than guessed."""
    same = helper.make_node("Identity", ["a"], ["c"])
    path = save(tmp_path / "s.onnx", [same], [("a", UINT8, [1, 3, 8, 8])], [("c", UINT8, [1, 3, 8, 8])], {})
    with pytest.raises(Pix2rtError, match="expected one input"):
        Segmenter(path, SIX)
