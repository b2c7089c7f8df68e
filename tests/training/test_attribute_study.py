"""The judge of glasses and beards, and the table that it fills."""

import pytest

from runtime.errors import InputError
from tests.tiny_models import save_tiny_checkpoint
from tests.training.runs import command, face_data, train
from training.checkpoint import load_checkpoint
from training.data.faces import random_face, render_face
from training.evaluation.attribute_study import ATTRIBUTES, FIRST_SEED, Judge, markdown, study
from training.state import CHECKPOINT_FILE
from training.systems.contextual_gan.completion import Search


@pytest.fixture(scope="module")
def judge():
    return Judge(faces=600)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attributes")
    train(folder / "gan", family="contextual_gan", data=str(face_data(folder / "faces")))
    return folder / "gan" / CHECKPOINT_FILE


def test_the_judge_knows_a_face(judge):
    assert judge.accuracy["glasses"] > 0.97
    assert judge.accuracy["beard"] > 0.85
    faces = [random_face(seed) for seed in range(FIRST_SEED, FIRST_SEED + 40)]
    for side in (64, 128):  # whatever the size
        says = [judge(render_face(face, side)) for face in faces]
        right = [[has(face) for has in ATTRIBUTES.values()] for face in faces]
        assert sum(a[0] == b[0] for a, b in zip(says, right, strict=True)) >= 38


def test_every_attribute_is_shown_as_often_as_it_is_absent(judge, trained):
    seen = []
    rows = study(load_checkpoint(trained), judge, items=3, search=Search(iterations=1), progress=seen.append)
    assert [row.attribute for row in rows] == list(ATTRIBUTES)
    assert all(row.shown == row.absent == 3 for row in rows)
    assert all(0 <= row.kept <= 3 and 0 <= row.invented <= 3 for row in rows)
    assert len(seen) == len(set(seen)) >= 6
    text = markdown(rows, 1)
    assert f"| glasses | {rows[0].kept} of 3 | {rows[0].invented} of 3 |" in text
    assert f"glasses {rows[0].accuracy:.3f}" in text


def test_sketches_of_no_known_style_are_refused(judge, trained):
    checkpoint = load_checkpoint(trained)
    checkpoint.recipe = {"style": "stored"}
    with pytest.raises(InputError, match="as they lie .*--style xdog, fdog, photocopy"):
        study(checkpoint, judge, items=1)


def test_what_is_not_completed_is_refused(tmp_path):
    path = save_tiny_checkpoint("unet", tmp_path / "unet.safetensors")
    result = command("attribute-study", str(path))
    assert result.returncode == 2
    assert "holds a pix2pix network, expected contextual_gan" in " ".join(result.stderr.split())
