"""Procedural faces, and joint images made from photos or read as they lie."""

from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from tests.training.runs import command
from training.data.faces import random_face, render_face
from training.data.faces.plan import BEARDS, HAIR_STYLES
from training.data.images import resize_photo
from training.data.joint import JointImages, find_photos, joint_image, sketch_of
from training.data.photo_folder import write_face
from training.data.sketches import STYLES
from training.errors import DataError


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for seed in range(3):
        write_face(folder, "train", seed, 48)
    return folder


def test_a_seed_is_a_person():
    assert random_face(5) == random_face(5)
    people = [random_face(seed) for seed in range(200)]
    assert len(set(people)) == 200
    assert {face.hair_style for face in people} == set(HAIR_STYLES)
    assert {face.beard for face in people} == set(BEARDS)
    assert {face.glasses for face in people} == {0, 1, 2}
    np.testing.assert_array_equal(render_face(people[0], 32), render_face(random_face(0), 32))


def test_a_face_is_the_same_at_every_size():
    for seed in range(4):
        face = random_face(seed)
        large, small = render_face(face, 96), render_face(face, 32)
        assert np.abs(resize_photo(large, (32, 32)).astype(float) - small).mean() < 3


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"glasses": 1}, slice(22, 40)),
        ({"beard": "moustache"}, slice(36, 50)),
        ({"smile": 1.0}, slice(36, 50)),
        ({"brow_tilt": 1.0}, slice(20, 34)),
    ],
)
def test_what_is_planned_shows_where_it_belongs(change, rows):
    plain = replace(random_face(2), glasses=0, beard="none", smile=-0.4, brow_tilt=-1.0, mouth_open=0.0)
    changed = np.abs(render_face(replace(plain, **change), 64).astype(int) - render_face(plain, 64)).max(-1)
    assert changed[rows].max() > 20
    changed[rows] = 0
    assert changed.max() == 0


def test_every_property_shows():
    plain = replace(random_face(2), hair_style="short", beard="none", glasses=0, mouth_open=0.05)
    other = replace(random_face(9), hair_style="long", beard="full", glasses=2, mouth_open=0.0)
    assert len(fields(plain)) == 21
    for field in fields(plain):
        changed = replace(plain, **{field.name: getattr(other, field.name)})
        assert not np.array_equal(render_face(changed, 48), render_face(plain, 48)), field.name


def test_a_joint_image_is_sketch_and_photo(faces):
    path = faces / "train" / "face_000001.png"
    photo = np.asarray(Image.open(path))
    for style in STYLES:
        joint = joint_image(path, style, 24)
        assert joint.shape == (24, 48, 3)
        np.testing.assert_array_equal(joint[:, 24:], resize_photo(photo, (24, 24)))
        lines = STYLES[style](photo).astype(float)
        means = lines.reshape(24, 2, 24, 2).mean((1, 3))
        assert np.abs(joint[:, :24, 0] - means).max() <= 0.5
    np.testing.assert_array_equal(joint_image(path, "xdog", 24)[:, :24], sketch_of(photo, "xdog", 24))


def test_a_photo_that_is_not_square_gives_its_middle(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (16, 30, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    np.testing.assert_array_equal(joint_image(tmp_path / "a.png", "xdog", 16)[:, 16:], photo[:, 7:23])


def test_mirroring_turns_both_halves_alike(faces):
    data = JointImages(find_photos(faces, "train"), "xdog", 16, flip=True)
    plain = JointImages(find_photos(faces, "train"), "xdog", 16, flip=False)[0, 1]["joint_image"].numpy()
    mirrored = np.concatenate([plain[:, :16][:, ::-1], plain[:, 16:][:, ::-1]], 1)
    items = [data[epoch, 1]["joint_image"].numpy() for epoch in range(20)]
    kinds = {item.tobytes() for item in items}
    assert kinds == {plain.tobytes(), mirrored.tobytes()}


def test_stored_joint_images_come_back(faces, tmp_path):
    joint = joint_image(faces / "train" / "face_000000.png", "fdog", 16)
    (tmp_path / "val").mkdir()
    Image.fromarray(joint).save(tmp_path / "val" / "a.png")
    data = JointImages(find_photos(tmp_path, "val"), "stored", 16, flip=False)
    np.testing.assert_array_equal(data[0, 0]["joint_image"].numpy(), joint)
    with pytest.raises(DataError, match="twice as wide as high"):
        joint_image(faces / "train" / "face_000000.png", "stored", 16)


def test_missing_data_is_named(tmp_path):
    with pytest.raises(DataError, match="does not exist; make one"):
        find_photos(tmp_path / "none", "train")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is a file, not a folder"):
        find_photos(tmp_path / "file", "train")
    with pytest.raises(DataError, match="holds no image"):
        find_photos(tmp_path, "train")


def test_the_command_writes_faces(tmp_path):
    result = command("faces", tmp_path, "--count", 2, "--side", 16, "--seed", 7)
    assert result.returncode == 0, result.stderr
    names = [path.name for path in find_photos(tmp_path, "train")]
    assert names == ["face_000007.png", "face_000008.png"]
    written = np.asarray(Image.open(tmp_path / "train" / names[1]))
    np.testing.assert_array_equal(written, render_face(random_face(8), 16))
