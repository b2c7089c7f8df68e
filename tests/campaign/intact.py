"""The intact files that a campaign starts from, small, of every kind that is read."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from runtime import Editor, Synthesizer
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters, tiny_programs, tiny_search, tiny_translators

_SIZE = (9, 14)


def engines(folder: Path) -> None:
    tiny_engines.synthesizer(folder / "synthesizer.onnx", styles=True)
    tiny_engines.synthesizer(folder / "free.onnx", size=None, batch="N")
    tiny_engines.style_encoder(folder / "encoder.onnx")
    tiny_engines.baseline(folder / "baseline.onnx", edge=True, styles=True)
    tiny_translators.translator(folder / "translator.onnx", seed=True)
    tiny_inpainters.inpainter(folder / "inpainter.onnx", style=True)
    tiny_completers.completer(folder / "completer.onnx")
    programs(folder)


def programs(folder: Path) -> None:
    tiny_programs.engine(folder / "program.onnx")
    tiny_programs.holes_engine(folder / "holes.onnx")
    tiny_search.engine(folder / "search.onnx")


def images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (*_SIZE, 3), np.uint8))
    grey, ids = colour.convert("L"), Image.fromarray(rng.integers(0, 4, _SIZE, np.uint8))
    wide = Image.fromarray(rng.integers(0, 65_536, _SIZE).astype(np.uint16))
    clear = colour.copy()
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    palette = colour.quantize(7)
    for name, image in {
        **{"rgb": colour, "grey": grey, "ids": ids, "wide": wide, "rgba": clear, "palette": palette},
        **{"la": clear.convert("LA"), "bits": grey.convert("1")},
    }.items():
        image.save(folder / f"{name}.png")
    colour.save(folder / "profile.png", icc_profile=profile, exif=exif)
    palette.save(folder / "see-through.png", transparency=3)
    colour.save(folder / "rgb.jpg", exif=exif, icc_profile=profile)
    grey.save(folder / "grey.jpg")
    colour.convert("CMYK").save(folder / "cmyk.jpg")
    colour.save(folder / "rgb.bmp")
    palette.save(folder / "palette.bmp")
    colour.save(folder / "lossy.webp", exif=exif, icc_profile=profile)
    clear.save(folder / "lossless.webp", lossless=True)
    palette.save(folder / "still.gif", transparency=1)
    frames = [grey, grey.rotate(90)]
    grey.save(folder / "moving.gif", save_all=True, append_images=frames)
    colour.save(folder / "moving.webp", save_all=True, append_images=[colour.rotate(180)])
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        colour.save(folder / f"{compression}.tif", compression=compression)
    wide.save(folder / "wide.tif")
    clear.save(folder / "rgba.tif")
    colour.convert("CMYK").save(folder / "cmyk.tif", exif=exif)
    colour.convert("LAB").save(folder / "lab.tif")
    grey.convert("F").save(folder / "floats.tif")
    Image.fromarray(np.arange(126, dtype=np.int32).reshape(_SIZE)).save(folder / "ids.tif")


def arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(folder / "bytes.npy", rng.integers(0, 256, (*_SIZE, 5), np.uint8))
    np.save(folder / "fortran.npy", np.asfortranarray(rng.integers(0, 256, (*_SIZE, 3), np.uint8)))
    np.save(folder / "floats.npy", rng.random((*_SIZE, 3)))


def videos(folder: Path) -> None:
    import av

    rng = np.random.default_rng(0)
    for name, codec, pixels in (
        *(("h264.mp4", "libx264", "yuv420p"), ("mpeg4.avi", "mpeg4", "yuv420p"), ("vp9.webm", "libvpx-vp9", "yuv420p")),
        *(("lossless.mkv", "ffv1", "bgr0"), ("h264.ts", "libx264", "yuv420p"), ("jpeg.mov", "mjpeg", "yuvj420p")),
    ):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(24))
            stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
            for index in range(4):
                frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (32, 48, 3), np.uint8) // 4 * index, "rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def checkpoints(folder: Path) -> None:
    import torch

    from tests.tiny_models import save_tiny_checkpoint
    from tests.training.junyanz_networks import UNet
    from tests.training.nvidia_networks import global_generator

    for variant in ("global", "features", "unet", "resnet"):
        save_tiny_checkpoint(variant, folder / f"{variant}.safetensors")
    torch.manual_seed(0)
    torch.save(UNet(3, 3, 6, 2, "batch").state_dict(), folder / "unet.pth")
    torch.save(global_generator(36, 3, "instance").state_dict(), folder / "global.pth")
    torch.save(global_generator(3, 3, "batch").state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    (folder / "opt.txt").write_text(
        "------------ Options -------------\nngf: 2\nnetG: unet_64 [default: unet_256]\nnorm: batch\ninput_nc: 3\n"
        "output_nc: 3\nno_dropout: False\nlabel_nc: 35\nno_instance: False\n-------------- End ----------------\n"
    )


def styles(folder: Path) -> None:
    rng = np.random.default_rng(0)
    centres = {class_id: rng.random((count, 3)).astype(np.float32) for class_id, count in ((0, 2), (7, 5), (26, 1))}
    np.save(folder / "styles.npy", np.array(centres, dtype=object))


def sessions(folder: Path) -> None:
    """With objects, styles, and a history to both sides."""
    path = tiny_engines.synthesizer(folder.parent / "of_sessions.onnx", styles=True)
    mask = np.zeros(tiny_engines.SIZE, np.bool_)
    mask[9:12, 4:10] = True
    with Synthesizer(path, "cpu", threads=1) as synthesizer:
        editor = Editor(synthesizer, seed=3)
        editor.save(folder / "empty.npz")
        car = editor.add_object("car", mask)
        editor.restyle(car, 1)
        editor.restyle("car", 2)
        editor.undo()
        editor.save(folder / "edited.npz")


def messages(folder: Path) -> None:
    """One of each operation that a page asks for."""
    square = {"kind": "rectangle", "points": [[4, 9], [9, 11]]}
    stroke = {"kind": "line", "points": [[2, 3], [20.5, 9]], "radius": 1.5}
    corner = {"kind": "polygon", "points": [[0, 0], [20, 0], [0, 11]]}
    for number, message in enumerate(
        (
            {"op": "paint", "class": 2, "instance": "new", "shape": square},
            {"op": "paint", "class": 2, "instance": 2000, "shape": stroke},
            {"op": "paint", "class": 1, "shape": corner},
            {"op": "erase", "shape": square},
            {"op": "fill", "point": [0, 0], "class": 1},
            {"op": "relabel", "instance": 2000, "class": 3},
            {"op": "remove", "instance": 2000},
            {"op": "move", "instance": 2000, "dx": 3, "dy": -2},
            {"op": "duplicate", "instance": 2000, "dx": 8, "dy": 0},
            {"op": "restyle", "instance": 2000, "style": 1},
            {"op": "restyle", "class": 2, "style": 2},
            {"op": "shuffle", "seed": 4},
            {"op": "undo"},
            {"op": "redo"},
        )
    ):
        (folder / f"{number}.json").write_text(json.dumps(message))
