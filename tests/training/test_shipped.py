"""The engines that ship, against the generators of their data and OpenCV's inpainting."""

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from runtime import Inpainter, SketchCompleter, Translator
from runtime.commands import ASSETS
from runtime.media.images import read_drawing, read_photo
from runtime.media.mask_images import read_hole_mask
from runtime.runners.conditions import CONDITIONS
from training.data.faces import random_face, render_face
from training.data.images import resize_photo
from training.data.joint import sketch_of
from training.data.scenes import render_scene

DRAWN_SCENE = 100003  # the seed of the scene that edges2photo_input.png was drawn from; training stops at 399
SKETCHED_FACE = 100007  # likewise of faces_sketch.png; training stops at 3999


def test_the_shipped_translator_paints_its_drawing():
    """The drawing is that of a procedural street it never saw; the photo comes closer to the real one than any grey."""
    scene = render_scene(DRAWN_SCENE, (512, 1024))
    drawing = read_photo(ASSETS / "edges2photo_input.png")[..., :1]
    drawn = CONDITIONS["edges"](scene.photo, np.random.default_rng(0))
    assert np.mean(drawing == drawn) > 0.995  # all of them with OpenCV 5.0.0, 0.9988 with 4.11.0
    photo = Translator(ASSETS / "edges2photo.onnx").run(drawing)
    mean_colour = np.broadcast_to(scene.photo.mean((0, 1)).astype(np.uint8), photo.shape)
    closeness = [peak_signal_noise_ratio(scene.photo, image) for image in (mean_colour, photo)]
    assert closeness[1] > closeness[0] + 1.5  # 18.8 against 16.5 dB
    sharpness = [np.abs(np.diff(image.astype(float), axis=1)).mean() for image in (scene.photo, photo)]
    assert sharpness[1] > 0.6 * sharpness[0]


def test_the_shipped_completer_follows_a_sketch_it_never_saw():
    """The face is drawn where the ink is, and its photo is nearer to its own face than to another's."""
    completer = SketchCompleter(ASSETS / "faces.onnx")
    faces = [render_face(random_face(seed), 2 * completer.side) for seed in (SKETCHED_FACE, SKETCHED_FACE + 1)]
    sketch = read_drawing(ASSETS / "faces_sketch.png")
    assert np.array_equal(sketch, sketch_of(faces[0], "xdog", 2 * completer.side)[..., :1])
    completion = completer.complete(*completer.joint(sketch), iterations=150)
    assert completion.contextual_loss[completion.iteration, 0] < 0.4 * completion.contextual_loss[0, 0]
    given, made = (255.0 - np.split(image, 2, 1)[0] for image in (completion.image, completion.made))
    is_ink = given > 128
    assert made[is_ink].mean() > 4 * made[~is_ink].mean()
    photo = completion.image[:, completer.side :]
    small = [resize_photo(face, photo.shape[:2]) for face in faces]
    similarities = [structural_similarity(photo.mean(-1), face.mean(-1), data_range=255) for face in small]
    assert similarities[0] > similarities[1] + 0.1


def test_the_shipped_inpainter_fills_holes_with_texture():
    """What is known stays; in the holes are the photo's edges, where OpenCV's method leaves a blur."""
    photo = read_photo(ASSETS / "inpaint_photo.jpg")
    hole = read_hole_mask(ASSETS / "inpaint_mask.png", pytest.fail)
    filled = Inpainter(ASSETS / "inpaint.onnx").run(photo, hole)
    assert np.array_equal(filled[~hole], photo[~hole])
    blurred = cv2.inpaint(photo, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    inside = cv2.erode(hole.astype(np.uint8), np.ones((5, 5))) > 0

    def sharpness(image):
        return np.abs(np.diff(image.astype(float).mean(-1), axis=1))[inside[:, 1:]].mean()

    assert sharpness(filled) > 2 * sharpness(blurred)
    assert sharpness(filled) > 0.5 * sharpness(photo)
    error = np.abs(filled[hole].astype(float).mean(0) - photo[hole].mean(0))
    assert error.max() < 20, "on the whole the colour is right"
