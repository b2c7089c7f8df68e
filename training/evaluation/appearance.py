"""Closeness to the real photo, and the sharpness and colours that the paper's losses differ in."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from training.errors import DataError
from training.evaluation.figures import Measure
from training.system import HeldOut

Lab = NDArray[np.floating]
Bytes = NDArray[np.uint8]
_SSIM_WINDOW = 7  # scikit-image's
# Lightness spans 0 … 100, colours of sRGB lie within ±110; two units a bin.
_BINS = {"l": np.linspace(0, 100, 51), "a": np.linspace(-110, 110, 111), "b": np.linspace(-110, 110, 111)}


class Fidelity(Measure):
    """PSNR and SSIM of each item; of the hole alone where it has one, for the rest was given."""

    def add(self, item: HeldOut) -> dict[str, float]:
        if min(item.real_image.shape[:2]) < _SSIM_WINDOW:
            raise DataError(f"{item.name}: {item.real_image.shape[:2]} pixels are too few for SSIM's 7×7 window")
        if item.hole is not None:
            return {
                "hole_psnr": hole_psnr(item.real_image, item.fake_image, item.hole),
                "hole_ssim": hole_ssim(item.real_image, item.fake_image, item.hole),
            }
        psnr = peak_signal_noise_ratio(item.real_image, item.fake_image, data_range=255)
        ssim = structural_similarity(item.real_image, item.fake_image, channel_axis=2, data_range=255)
        return {"psnr": float(psnr), "ssim": float(ssim)}


class ColourDistance(Measure):
    """ΔE of 1976, the distance in CIE Lab.

    Args:
        counted: pixels that count, bool [H, W]; None for all.
    """

    def __init__(self, counted: NDArray[np.bool_] | None = None) -> None:
        self.counted = counted

    def add(self, item: HeldOut) -> dict[str, float]:
        distances = np.linalg.norm(rgb2lab(item.fake_image) - rgb2lab(item.real_image), axis=-1)
        return {"colour_distance": float(distances[... if self.counted is None else self.counted].mean())}


class Appearance(Measure):
    """Sharpness, chroma and histogram overlap over all items: figure 7 of pix2pix.

    There the L1 loss gives greyish, blurred images, and a GAN widens the distribution of colours towards the true one.
    Where items have holes, only what lies in them counts.
    """

    def __init__(self) -> None:
        self.has_holes = False
        self.sums = np.zeros((2, 2))  # generated and real: gradient, chroma
        self.histograms = {name: np.zeros((2, len(edges) - 1)) for name, edges in _BINS.items()}

    def add(self, item: HeldOut) -> dict[str, float]:
        inside = np.ones(item.real_image.shape[:2], bool) if item.hole is None else item.hole
        self.has_holes |= item.hole is not None
        # A hole's outline is no detail of what was made: both pixels of a difference lie in it.
        within = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:]
        for row, image in enumerate((item.fake_image, item.real_image)):
            lab = rgb2lab(image)
            made = lab[inside]
            self.sums[row] += gradient(lab[..., 0])[within].sum(), np.hypot(made[:, 1], made[:, 2]).sum()
            for channel, (name, edges) in enumerate(_BINS.items()):
                self.histograms[name][row] += np.histogram(np.clip(made[:, channel], edges[0], edges[-1]), edges)[0]
        return {}

    def generated(self) -> dict[str, float]:
        ratios = self.sums[0] / np.maximum(self.sums[1], 1e-12)
        figures = {"sharpness": float(ratios[0]), "chroma": float(ratios[1])}
        for name, (fake, real) in self.histograms.items():
            figures[f"overlap_{name}"] = float(np.minimum(fake / fake.sum(), real / real.sum()).sum())
        return figures

    def real(self) -> dict[str, float]:
        return dict.fromkeys(("sharpness", "chroma", "overlap_l", "overlap_a", "overlap_b"), 1.0)

    def notes(self) -> list[str]:
        return ["Sharpness, chroma and overlaps are those inside the holes."] if self.has_holes else []


def hole_psnr(real: Bytes, fake: Bytes, hole: NDArray[np.bool_]) -> float:
    """PSNR in dB of the pixels [H, W] where `hole` is set, of images uint8 [H, W, 3]; infinite where they are equal."""
    return float(peak_signal_noise_ratio(real[hole], fake[hole], data_range=255))


def hole_ssim(real: Bytes, fake: Bytes, hole: NDArray[np.bool_]) -> float:
    """Mean of the SSIM map over the pixels of the hole.

    As everywhere, pixels whose window leaves the image do not count, unless the hole has no other.
    """
    _, values = structural_similarity(real, fake, channel_axis=2, data_range=255, full=True)
    inner = np.zeros_like(hole)
    margin = _SSIM_WINDOW // 2
    inner[margin:-margin, margin:-margin] = True
    counted = hole & inner
    return float(values[counted if counted.any() else hole].mean())


def gradient(lightness: Lab) -> Lab:
    """Magnitude of the differences to the right and the lower neighbour, [H, W] → [H − 1, W − 1]."""
    return np.hypot(np.diff(lightness, axis=1)[:-1], np.diff(lightness, axis=0)[:, :-1])
