"""Comparing synthesised with real photos: PSNR and SSIM per item, a table and pictures."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from runtime.files import atomic_path
from training.checkpoint import Checkpoint
from training.system import HeldOut, family_system


@dataclass(frozen=True)
class Row:
    """Figures of one item, or their mean over all."""

    name: str
    psnr_db: float
    ssim: float


def evaluate(checkpoint: Checkpoint, data: Path, split: str, styles: str, out: Path | None) -> list[Row]:
    """Synthesise every held-out item and compare with its photo.

    Args:
        checkpoint: of any family.
        data: data folder.
        split: part of the folder.
        styles: how the family chooses styles.
        out: folder for `report.md` and one picture per item: input | synthesised | real. None writes nothing.

    Returns:
        A row per item, and their mean last.
    """
    rows = []
    for item in family_system(checkpoint.family).held_out(checkpoint, data, split, styles):
        rows.append(_compare(item))
        if out is not None:
            picture = np.concatenate([item.input_picture, item.fake_image, item.real_image], 1)
            with atomic_path(out / f"{item.name}.png") as temporary:
                cv2.imwrite(str(temporary), picture[..., ::-1])
    rows.append(Row("mean", float(np.mean([r.psnr_db for r in rows])), float(np.mean([r.ssim for r in rows]))))
    if out is not None:
        _write_report(out / "report.md", rows, styles)
    return rows


def _compare(item: HeldOut) -> Row:
    psnr = peak_signal_noise_ratio(item.real_image, item.fake_image, data_range=255)
    ssim = structural_similarity(item.real_image, item.fake_image, channel_axis=2, data_range=255)
    return Row(item.name, float(psnr), float(ssim))


def _write_report(path: Path, rows: list[Row], styles: str) -> None:
    lines = [f"Styles: {styles}.", "", "| image | PSNR dB | SSIM |", "|---|---|---|"]
    lines += [f"| {row.name} | {row.psnr_db:.2f} | {row.ssim:.4f} |" for row in rows]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
