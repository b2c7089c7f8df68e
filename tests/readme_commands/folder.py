"""What a reader of the pages has before the first command: photos, pairs, drawings, label maps, weights of others."""

import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from runtime.commands import ASSETS
from tests.training.junyanz_networks import UNet
from tests.training.nvidia_networks import global_generator
from tests.training.test_totals import vgg_state
from training.checkpoint import save_checkpoint
from training.data.photo_folder import write_texture
from training.data.scene_folder import write_scene
from training.data.scenes import render_scene
from training.systems import contextual_gan, inpainting

_SIDE = 300
_OPTIONS = """------------ Options -------------
ngf: 4
n_blocks_global: 1
norm: instance
label_nc: 35
no_instance: False
-------------- End ----------------
"""


def fill(folder: Path) -> None:
    """Write all of it; among the photos is nothing but these."""
    shutil.rmtree(folder / "photos", ignore_errors=True)
    hole = np.zeros((_SIDE, _SIDE), np.uint8)
    hole[100:140, 120:180] = 255
    for split in ("train", "val"):
        for seed in range(2):
            _picture(folder / "photos" / f"{split}_{seed}.png", _photo(seed))
            _picture(folder / "masks" / f"{split}_{seed}.png", hole)
            _pair(folder, split, seed)
            write_scene(folder / "cityscapes", split, seed, (256, 512))
    dabs = np.zeros((128, 128, 4), np.uint8)  # as large as the drawing
    dabs[16:32, 40:88] = (120, 70, 30, 255)
    _picture(folder / "colours" / "a.png", dabs)
    write_texture(folder, "bsds/train", 1, 320)
    write_texture(folder, "bsds/val", 2, 320)
    _of_the_demo(folder)
    _frames(folder)
    _weights(folder)
    _runs(folder)


def _pair(folder: Path, split: str, seed: int) -> None:
    photo = _photo(seed)
    for task in ("facades", "maps", "webcams"):
        _picture(folder / task / split / f"{seed}.png", np.concatenate([photo, 255 - photo], 1))
    _picture(folder / "thermal" / f"{split}_A" / f"{seed}.png", photo.mean(-1).astype(np.uint8))
    _picture(folder / "thermal" / f"{split}_B" / f"{seed}.png", photo)


def _of_the_demo(folder: Path) -> None:
    """Inputs of the engines that ship, by the names of the pages."""
    copies = {
        "drawing.png": "edges2photo_input.png",
        "drawings/a.png": "faces_sketch.png",
        "sketch.png": "faces_sketch.png",
        "photo.jpg": "inpaint_photo.jpg",
        "mask.png": "inpaint_mask.png",
        "old.onnx": "edges2photo.onnx",
    }
    for name, asset in copies.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ASSETS / asset, folder / name)


def _frames(folder: Path) -> None:
    """Label map and instance map of Cityscapes' size and classes."""
    write_scene(folder, "frame", 0, (1024, 2048))
    for column, own, kind in (("label", "labels", "labelIds"), ("inst", "instances", "instanceIds")):
        (drawn,) = (folder / f"frame_{column}").iterdir()
        (folder / own).mkdir(exist_ok=True)
        for path in (folder / f"frame_gtFine_{kind}.png", folder / own / f"a_gtFine_{kind}.png"):
            shutil.copy(drawn, path)


def _weights(folder: Path) -> None:
    torch.manual_seed(0)
    torch.save(UNet(3, 3, 7, 4, "batch").state_dict(), folder / "facades" / "latest_net_G.pth")
    torch.save(global_generator(36, 3, "instance").state_dict(), folder / "latest_net_G.pth")
    (folder / "opt.txt").write_text(_OPTIONS)
    torch.save(vgg_state(), folder / "vgg19.pth")


def _runs(folder: Path) -> None:
    """Checkpoints that a page takes for granted: of longer studies, by the names that it gives them."""
    sketch = contextual_gan.untrained(contextual_gan.Options(**contextual_gan.PRESETS["demo"] | {"ngf": 4, "ndf": 4}))
    holes = inpainting.untrained(inpainting.Options(**inpainting.PRESETS["smoke"]))
    given = {"runs/photocopy/checkpoint": sketch, "runs/truth/checkpoint": holes, "holes": holes}
    for name, checkpoint in given.items():
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(checkpoint, path)


def _photo(seed: int) -> NDArray[np.uint8]:
    return render_scene(seed, (_SIDE, _SIDE)).photo


def _picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
