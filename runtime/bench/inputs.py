"""What `bench` measures with: generated maps and images, the caller's, or the demo's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runtime.bench.runners import runner_of
from runtime.engines.spec import EngineSpec
from runtime.errors import InputError
from runtime.media.images import read_image, read_inst_map, read_label_map
from runtime.runners.examples import resize_nearest

_RGB = 3


@dataclass(frozen=True)
class BenchInput:
    """What every engine of a comparison gets.

    Attributes:
        arrays: by the names that the runner's `run` gives them, all [H, W, …].
        source: where they come from, for the report.
    """

    arrays: Mapping[str, NDArray[Any]]
    source: str

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = next(iter(self.arrays.values())).shape[:2]
        return height, width

    def resized(self, size: tuple[int, int]) -> "BenchInput":
        """Scaled to (H, W) by nearest neighbour, which keeps ids what they are."""
        return replace(self, arrays={name: resize_nearest(array, size) for name, array in self.arrays.items()})


def generated_input(*specs: EngineSpec, noise: bool, seed: int = 0, size: tuple[int, int] | None = None) -> BenchInput:
    """A random map or image in 8 × 8 blocks of one class or colour each; with `noise` every pixel is random, the worst
    case for an engine that profits from equal neighbours.

    Args:
        *specs: of engines of one kind, from `bench_spec`: they get the first one's maps, and what it does not take.
        noise: whether every pixel is random.
        seed: of what is random.
        size: (H, W); None for the engine's own, or where that is free the one that its cost was counted at.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for spec in specs:
        arrays = runner_of(spec).example(spec, size, noise=noise, seed=seed) | arrays
    return BenchInput(arrays, "generated, every pixel random" if noise else "generated, 8×8 blocks")


def input_from_files(
    spec: EngineSpec, labels: Path, instances: Path | None, notify: Callable[[str], None] = lambda sentence: None
) -> BenchInput:
    """The caller's maps; without an instance map, areas of equal class are the instances."""
    assert spec.labels
    label_map = read_label_map(labels, spec.labels, lambda sentence: notify(f"{labels}: {sentence}"))
    inst_map = read_inst_map(instances, lambda sentence: notify(f"{instances}: {sentence}")) if instances else label_map
    return BenchInput({"label_map": label_map, "inst_map": inst_map}, labels.name)


def input_from_image(spec: EngineSpec, path: Path, notify: Callable[[str], None]) -> BenchInput:
    """The caller's image in the place of the generated one, whatever goes with it at its size."""
    runner = runner_of(spec)
    name, generated = next((name, array) for name, array in runner.example(spec).items() if array.ndim == len("HWC"))
    image = read_image(path, generated.shape[-1], lambda sentence: notify(f"{path}: {sentence}")).pixels
    return BenchInput(runner.example(spec, image.shape[:2]) | {name: image}, path.name)


def demo_input(spec: EngineSpec, assets: Path) -> BenchInput | None:
    """The demo's scene, scaled to the engine; None where it is not there or is not what the engine takes."""
    if spec.kind != "synthesizer" or spec.labels is None or not (assets / "street_labels.png").is_file():
        return None
    scene = input_from_files(spec, assets / "street_labels.png", assets / "street_instances.png")
    if scene.arrays["label_map"].max() >= spec.labels.label_nc:
        return None
    return scene.resized(spec.size or spec.cost.size)


def require_arrays(spec: EngineSpec, path: Path, scene: BenchInput) -> Mapping[str, NDArray[Any]]:
    """Those arrays of `scene` that the engine takes.

    Raises:
        InputError: the engine takes others.
    """
    wanted = runner_of(spec).example(spec)
    if not wanted.keys() <= scene.arrays.keys():
        raise InputError(
            f"engine {path} takes {' and '.join(wanted)}, this measurement has {' and '.join(scene.arrays)}; compare "
            "engines of one kind"
        )
    return {name: scene.arrays[name] for name in wanted}
