"""Export as a library: what `pix2rt import`, `export` and `validate` do, without a terminal.

`pix2rt.export` has these functions. torch is imported by the first call.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.errors import ExportError
from runtime.engines.names import engine_path
from runtime.extras import extra_needed

if TYPE_CHECKING:
    from export.onnx_from_checkpoint import Exported
    from export.validate import ParityRow

AnyPath = str | os.PathLike[str]


def import_weights(generator: AnyPath, output: AnyPath, **options: Any) -> Path:
    """Turn another project's weights into a checkpoint.

    Args:
        generator: `latest_net_G.pth` of pix2pixHD, or of junyanz' pix2pix.
        output: checkpoint to write, ending in `.safetensors`.
        **options: of `training.imports.detection.import_checkpoint`: `encoder`, `styles`, `opt`, `use_dropout`, …

    Returns:
        The path of the checkpoint.

    Raises:
        MissingExtraError: torch is not installed.
        ExportError: `output` has another ending.
        MissingFileError, CheckpointError: a file is not there, or is not what its name says.
    """
    path = Path(output)
    if path.suffix != ".safetensors":
        raise ExportError(f"output {path}: a checkpoint's name ends in .safetensors")
    with extra_needed("pix2rt.export.import_weights", "export"):
        from training.checkpoint import save_checkpoint
        from training.imports.detection import import_checkpoint
    save_checkpoint(import_checkpoint(Path(generator), **options), path)
    return path


def onnx(
    checkpoint: AnyPath,
    output: AnyPath,
    *,
    size: tuple[int, int] | None = None,
    precision: str = "fp32",
    normalization: str | None = None,
    baseline: bool = False,
    report: Callable[[str], None] = lambda step: None,
    **options: object,
) -> "list[Exported]":
    """Turn a checkpoint into an engine, and compare the two; an engine that differs is not written.

    Args:
        checkpoint: `.safetensors`.
        output: engine to write, ending in `.onnx`; an encoder comes beside it as `NAME.encoder.onnx`.
        size: fixed (H, W), one image a call; None for any batch and size.
        precision: "fp32" or "fp16".
        normalization: statistics of BatchNorm, see export/README.md; None for the checkpoint's.
        baseline: the plain network with float input instead, to measure against.
        report: called with the name of each step as it starts.
        **options: of the checkpoint's family: `stochastic` of pix2pix, `scales` of inpainting, …

    Returns:
        A `path`, `spec` and more for each engine, the main one first.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        MissingFileError, CheckpointError: no such checkpoint, or it is damaged.
        ExportError: it cannot become an engine of this form.
        ParityError: an engine does not reproduce the checkpoint.
    """
    with extra_needed("pix2rt.export.onnx", "export"):
        from export.onnx_from_checkpoint import export_onnx
    return export_onnx(
        Path(checkpoint),
        Path(output),
        size=size,
        precision=precision,
        baseline=baseline,
        normalization=normalization,
        options=options,
        report=report,
    )


def validate(checkpoint: AnyPath, engines: Sequence[AnyPath]) -> "list[ParityRow]":
    """Compare engines with the checkpoint that they come from: names, shapes, values.

    Args:
        checkpoint: `.safetensors`.
        engines: `.onnx` files, or names of engines.

    Returns:
        A row an engine; its `failure` is empty where the engine is equal.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        MissingFileError, CheckpointError, EngineFormatError, ExportError: a file is not there or not what it should be.
    """
    with extra_needed("pix2rt.export.validate", "export"):
        from export.validate import validate as compare
    return compare(Path(checkpoint), [engine_path(engine) for engine in engines])
