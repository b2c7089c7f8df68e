"""The whole way in Python: data → checkpoint → engine → picture. Cells as notebooks and editors run them.

Needs `pip install "pix2rt[training,export]"`; some minutes on two CPU cores with the preset "demo", half of one with
"smoke", whose pictures are grey.
"""

# %% Street scenes that the computer draws, as there is no data set at hand.
import os
from pathlib import Path

import numpy as np
from PIL import Image

import pix2rt

here = Path("example")
preset = os.environ.get("PIX2RT_EXAMPLE_PRESET", "demo")
height, width = (256, 512) if preset == "demo" else (64, 128)
data = pix2rt.training.scenes(here / "scenes", 8, size=(height, width))

# %% Train pix2pix to make photos of their edges. Run it again to go on where it was interrupted.
photos = data / "train_img"
checkpoint = pix2rt.training.train("pix2pix", preset, here / "run", data=photos, derive="edges", input_nc=1, epochs=1)

# %% A checkpoint becomes an engine of any size, and is compared with it on the spot.
engine = pix2rt.export.onnx(checkpoint, here / "edges2photo.onnx")[0]
print(engine.path, engine.spec.kind, dict(engine.spec.parity))

# %% Run it, without torch.
drawing = np.full((height, width), 255, np.uint8)
drawing[height // 2] = 0  # a horizon
with pix2rt.Translator(engine.path) as translator:
    photo = translator.run(drawing)
Image.fromarray(photo).save(here / "photo.png")

# %% An engine that ships has a name.
street = pix2rt.Translator("edges2photo").run(drawing)
Image.fromarray(street).save(here / "street.png")
