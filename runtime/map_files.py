"""Which files a command means: label maps in folders, their instance maps, the results' names."""

import re
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import InputError, MissingFileError
from runtime.files import require_file

# Cityscapes: aachen_000000_000019_gtFine_labelIds.png belongs to aachen_000000_000019_gtFine_instanceIds.png.
_SUFFIX = re.compile(r"(_gt(Fine|Coarse))?_(labelIds|instanceIds)$")
_LABEL_IDS, _INSTANCE_IDS = "_labelIds", "_instanceIds"


def find_label_maps(paths: Sequence[Path]) -> list[Path]:
    """Files as they are; folders as their PNGs in natural order, only `*_labelIds.png` where there are any.

    Raises:
        MissingFileError: a path is not there, or a folder has no PNG.
        InputError: two maps have the same stem, so their results would too.
    """
    files = [
        file
        for path in paths
        for file in (_pngs(path, _LABEL_IDS) if path.is_dir() else [require_file(path, "label map")])
    ]
    by_stem: dict[str, Path] = {}
    for file in files:
        if file.stem in by_stem:
            raise InputError(
                f"label maps {by_stem[file.stem]} and {file} would both be written as {file.stem}.png; rename one"
            )
        by_stem[file.stem] = file
    return files


def match_instances(label_maps: Sequence[Path], instances: Path) -> list[Path]:
    """The instance map of every label map: equal stems, apart from Cityscapes' endings.

    Args:
        label_maps: files.
        instances: a folder, or the one file for a single label map.

    Raises:
        MissingFileError: nothing is there, or a label map finds no partner.
        InputError: one file for several label maps, or several partners for one.
    """
    if not instances.is_dir():
        if len(label_maps) > 1:
            raise InputError(f"--instances {instances} is one file for {len(label_maps)} label maps; give a folder")
        return [require_file(instances, "instance map")]
    partners: dict[str, list[Path]] = {}
    for file in _pngs(instances, _INSTANCE_IDS):
        partners.setdefault(_scene_name(file), []).append(file)
    return [_only_partner(file, partners.get(_scene_name(file), []), instances) for file in label_maps]


def output_paths(label_maps: Sequence[Path], output: Path) -> list[Path]:
    """Where each result goes: `output` itself if it is a .png, else `<stem>.png` in the folder `output`.

    Raises:
        InputError: one file for several results, or a result would overwrite its label map.
    """
    if output.suffix.lower() == ".png":
        if len(label_maps) > 1:
            raise InputError(f"--output {output} is one file for {len(label_maps)} label maps; give a folder")
        paths = [output]
    else:
        paths = [output / f"{file.stem}.png" for file in label_maps]
    for file, path in zip(label_maps, paths, strict=True):
        if path.resolve() == file.resolve():
            raise InputError(f"--output would overwrite the label map {file}; choose another folder")
    return paths


def _pngs(folder: Path, ending: str) -> list[Path]:
    files = sorted((file for file in folder.iterdir() if file.suffix.lower() == ".png"), key=_natural)
    if not files:
        raise MissingFileError(f"folder {folder} holds no .png file")
    return [file for file in files if file.stem.endswith(ending)] or files


def _natural(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _scene_name(path: Path) -> str:
    return _SUFFIX.sub("", path.stem)


def _only_partner(file: Path, partners: list[Path], folder: Path) -> Path:
    if not partners:
        stem = file.stem.replace(_LABEL_IDS, _INSTANCE_IDS)
        raise MissingFileError(f"label map {file} has no instance map in {folder}; expected {stem}.png there")
    if len(partners) > 1:
        raise InputError(f"label map {file} has several instance maps: {', '.join(map(str, partners))}; keep one")
    return partners[0]
